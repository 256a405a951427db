// A convolution with bias, perhaps an addition and a ReLU, as a product of matrices: the rows are output pixels of all images, the columns
// output channels, and the sum goes over the kernel's pixels and the input channels, in that order. A workgroup computes 128 rows by 64
// columns, each thread 8 by 4 of them; the matrix of the inputs is never stored. An output is summed by one thread in a fixed order, so that it does
// not depend on the other images.
//
// The memory of the workgroup has 16 terms of the sum: of 64 rows, of 64 more rows, and of the columns. Indices of the rows are permuted
// (the exclusive or) so that the threads that access it together use different banks.

struct Settings {
    images: u32,
    height: u32,
    width: u32,
    channels: u32,
    out_height: u32,
    out_width: u32,
    out_channels: u32, // a multiple of 4
    kernel: u32,
    stride: u32,
    padding: u32,
    is_added: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [images, height, width, channels]
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>; // [kernel, kernel, channels, out_channels / 4]
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>; // [out_channels / 4]
@group(0) @binding(4) var<storage, read> added: array<vec4<f32>>; // as the output, or anything
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>; // [images, out_height, out_width, out_channels / 4]

var<workgroup> tile: array<vec4<f32>, 768>;

// Four consecutive output pixels: where their images start in the input, and the input pixel under the kernel's first.
struct Rows {
    image: vec4<u32>,
    y: vec4<i32>,
    x: vec4<i32>,
}

fn rows_from(first: u32) -> Rows {
    let row = vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u);
    let pixels = settings.out_height * settings.out_width;
    let image = row / pixels;
    let pixel = row - image * pixels;
    let y = pixel / settings.out_width;
    let x = pixel - y * settings.out_width;
    let padding = vec4<i32>(i32(settings.padding));
    var rows: Rows;
    rows.image = image * (settings.height * settings.width * settings.channels);
    // Rows after the last are outside of every image.
    let inside = image < vec4<u32>(settings.images);
    rows.y = select(vec4<i32>(-0x1000000), vec4<i32>(y * settings.stride) - padding, inside);
    rows.x = vec4<i32>(x * settings.stride) - padding;
    return rows;
}

// The inputs of the rows for one term of the sum.
fn inputs(rows: Rows, kernel_y: u32, kernel_x: u32, channel: u32, is_term: bool) -> vec4<f32> {
    let y = vec4<u32>(rows.y + i32(kernel_y)); // above every height if it is below 0
    let x = vec4<u32>(rows.x + i32(kernel_x));
    let inside = (y < vec4<u32>(settings.height)) & (x < vec4<u32>(settings.width)) & vec4<bool>(is_term);
    let at = rows.image + (y * settings.width + x) * settings.channels + channel;
    var values = vec4<f32>(0.0);
    if inside.x {
        values.x = input[at.x];
    }
    if inside.y {
        values.y = input[at.y];
    }
    if inside.z {
        values.z = input[at.z];
    }
    if inside.w {
        values.w = input[at.w];
    }
    return values;
}

fn write(row: u32, column: u32, sum: vec4<f32>) {
    let columns = settings.out_channels / 4u;
    if row >= settings.images * settings.out_height * settings.out_width || column >= columns {
        return;
    }
    let at = row * columns + column;
    var value = sum + bias[column];
    if settings.is_added != 0u {
        value += added[at];
    }
    if settings.relu != 0u {
        value = select(value, vec4<f32>(0.0), value < vec4<f32>(0.0)); // NaN stays
    }
    output[at] = value;
}

@compute @workgroup_size(16, 16)
fn convolution(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_column = workgroup.x * 16u;
    let first_row = workgroup.y * 128u;
    let terms = settings.kernel * settings.kernel * settings.channels;
    let columns = settings.out_channels / 4u;

    // Loading: one of 16 terms of four rows, twice; four columns at one of 16 terms.
    let loaded_term = thread & 15u;
    let loaded = thread >> 4u;
    let rows_0 = rows_from(first_row + loaded * 4u);
    let rows_1 = rows_from(first_row + 64u + loaded * 4u);
    let row_at = loaded_term * 16u + (loaded ^ loaded_term);
    let column = first_column + loaded_term;

    var sum_0 = vec4<f32>(0.0);
    var sum_1 = vec4<f32>(0.0);
    var sum_2 = vec4<f32>(0.0);
    var sum_3 = vec4<f32>(0.0);
    var sum_4 = vec4<f32>(0.0);
    var sum_5 = vec4<f32>(0.0);
    var sum_6 = vec4<f32>(0.0);
    var sum_7 = vec4<f32>(0.0);
    for (var first_term = 0u; first_term < terms; first_term += 16u) {
        workgroupBarrier();
        let term = first_term + loaded_term;
        let pixel = term / settings.channels;
        let channel = term - pixel * settings.channels;
        let kernel_y = pixel / settings.kernel;
        let kernel_x = pixel - kernel_y * settings.kernel;
        tile[row_at] = inputs(rows_0, kernel_y, kernel_x, channel, term < terms);
        tile[256u + row_at] = inputs(rows_1, kernel_y, kernel_x, channel, term < terms);
        let weight_term = first_term + loaded;
        var weight = vec4<f32>(0.0);
        if weight_term < terms && column < columns {
            weight = weights[weight_term * columns + column];
        }
        tile[512u + thread] = weight;
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
            let four_0 = tile[k * 16u + (place.y ^ k)];
            let four_1 = tile[256u + k * 16u + (place.y ^ k)];
            let four_weights = tile[512u + k * 16u + place.x];
            sum_0 += four_0.x * four_weights;
            sum_1 += four_0.y * four_weights;
            sum_2 += four_0.z * four_weights;
            sum_3 += four_0.w * four_weights;
            sum_4 += four_1.x * four_weights;
            sum_5 += four_1.y * four_weights;
            sum_6 += four_1.z * four_weights;
            sum_7 += four_1.w * four_weights;
        }
    }

    let row = first_row + place.y * 4u;
    let own_column = first_column + place.x;
    write(row, own_column, sum_0);
    write(row + 1u, own_column, sum_1);
    write(row + 2u, own_column, sum_2);
    write(row + 3u, own_column, sum_3);
    write(row + 64u, own_column, sum_4);
    write(row + 65u, own_column, sum_5);
    write(row + 66u, own_column, sum_6);
    write(row + 67u, own_column, sum_7);
}
