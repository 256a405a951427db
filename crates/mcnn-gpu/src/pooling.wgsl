// Pooling, four channels a thread. The settings are those of a convolution.

struct Settings {
    images: u32,
    height: u32,
    width: u32,
    channels: u32, // a multiple of 4
    out_height: u32,
    out_width: u32,
    out_channels: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
    is_added: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> input: array<vec4<f32>>; // [images, height, width, channels / 4]
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>; // [images, out_height, out_width, channels / 4]

fn index(thread: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return thread.y * workgroups.x * 256u + thread.x;
}

// The maximum over the pixels under a kernel that are in the image.
@compute @workgroup_size(256)
fn max_pool(@builtin(global_invocation_id) thread: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let fours = settings.channels / 4u;
    let at = index(thread, workgroups);
    if at >= settings.images * settings.out_height * settings.out_width * fours {
        return;
    }
    let four = at % fours;
    let pixel = at / fours;
    let x = pixel % settings.out_width * settings.stride;
    let y = pixel / settings.out_width % settings.out_height * settings.stride;
    let image = pixel / settings.out_width / settings.out_height * settings.height;
    // The center is in the image.
    var largest = input[((image + y) * settings.width + x) * fours + four];
    let end_y = min(y + settings.kernel - settings.padding, settings.height);
    let end_x = min(x + settings.kernel - settings.padding, settings.width);
    for (var from_y = y - min(y, settings.padding); from_y < end_y; from_y++) {
        for (var from_x = x - min(x, settings.padding); from_x < end_x; from_x++) {
            let value = input[((image + from_y) * settings.width + from_x) * fours + four];
            largest = select(value, largest, value <= largest); // NaN stays
        }
    }
    output[at] = largest;
}

// The mean over all pixels.
@compute @workgroup_size(256)
fn average_pool(@builtin(global_invocation_id) thread: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let fours = settings.channels / 4u;
    let at = index(thread, workgroups);
    if at >= settings.images * fours {
        return;
    }
    let pixels = settings.height * settings.width;
    let first = at / fours * pixels * fours + at % fours;
    var sum = vec4<f32>(0.0);
    for (var pixel = 0u; pixel < pixels; pixel++) {
        sum += input[first + pixel * fours];
    }
    output[at] = sum / f32(pixels);
}
