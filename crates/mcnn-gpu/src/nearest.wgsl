// The K nearest rows of each of 64 queries, in the row tiles of one chunk: squared distances by direct differences, over the dimensions
// in order. A workgroup computes 64 queries by 64 rows at a time, each thread 4 by 4 of them. Then 4 threads for each query go through the
// 64 rows and keep the K nearest of a quarter. The list of a thread is sorted; NONE follows its last row.
//
// The memory of the workgroup has first 16 dimensions of the queries and of the rows, then the distances. Indices are permuted (the
// exclusive or, the rotation) so that the threads that access it together use different banks.

const NONE: u32 = 0xffffffffu;
const FAR: f32 = 0x1.fffffep+127f;

struct Settings {
    queries: u32,
    rows: u32,
    dim: u32,
    tiles_of_chunk: u32,
    is_grouped: u32,
    padding_0: u32,
    padding_1: u32,
    padding_2: u32,
}

@group(0) @binding(0) var<uniform> settings: Settings;
@group(0) @binding(1) var<storage, read> queries: array<f32>; // [queries, dim]
@group(0) @binding(2) var<storage, read> rows: array<f32>; // [rows, dim]
@group(0) @binding(3) var<storage, read> query_groups: array<u32>; // [queries], or one number
@group(0) @binding(4) var<storage, read> row_groups: array<u32>; // [rows], or one number
// For each query, chunk and quarter: K pairs of a row and the bits of its squared distance.
@group(0) @binding(5) var<storage, read_write> found: array<u32>;

var<workgroup> tile: array<vec4<f32>, 1024>;

fn query_value(i: u32, d: u32) -> f32 {
    if i < settings.queries && d < settings.dim {
        return queries[i * settings.dim + d];
    }
    return 0.0;
}

fn row_value(i: u32, d: u32) -> f32 {
    if i < settings.rows && d < settings.dim {
        return rows[i * settings.dim + d];
    }
    return 0.0;
}

@compute @workgroup_size(16, 16)
fn nearest(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_query = workgroup.x * 64u;
    let tiles = (settings.rows + 63u) / 64u;
    let first_tile = workgroup.y * settings.tiles_of_chunk;
    let end_tile = min(first_tile + settings.tiles_of_chunk, tiles);

    // Loading: four consecutive queries or rows at one of 16 dimensions.
    let loaded_dim = thread & 15u;
    let loaded = thread >> 4u;
    // Choosing: a query of the 64, and a quarter of the rows.
    let own = thread >> 2u;
    let quarter = thread & 3u;
    let own_query = first_query + own;
    var own_group = 0u;
    if settings.is_grouped != 0u && own_query < settings.queries {
        own_group = query_groups[own_query];
    }
    var best_d2: array<f32, K>;
    var best_row: array<u32, K>;
    for (var s = 0u; s < K; s++) {
        best_d2[s] = FAR;
        best_row[s] = NONE;
    }

    for (var t = first_tile; t < end_tile; t++) {
        let first_row = t * 64u;
        var sum_0 = vec4<f32>(0.0);
        var sum_1 = vec4<f32>(0.0);
        var sum_2 = vec4<f32>(0.0);
        var sum_3 = vec4<f32>(0.0);
        for (var first_dim = 0u; first_dim < settings.dim; first_dim += 16u) {
            workgroupBarrier();
            let d = first_dim + loaded_dim;
            let q = first_query + loaded * 4u;
            let r = first_row + loaded * 4u;
            let at = loaded_dim * 16u + (loaded ^ loaded_dim);
            tile[at] = vec4<f32>(query_value(q, d), query_value(q + 1u, d), query_value(q + 2u, d), query_value(q + 3u, d));
            tile[256u + at] = vec4<f32>(row_value(r, d), row_value(r + 1u, d), row_value(r + 2u, d), row_value(r + 3u, d));
            workgroupBarrier();
            for (var k = 0u; k < 16u; k++) {
                let four_queries = tile[k * 16u + (place.y ^ k)];
                let four_rows = tile[256u + k * 16u + (place.x ^ k)];
                let t_0 = four_queries.x - four_rows;
                let t_1 = four_queries.y - four_rows;
                let t_2 = four_queries.z - four_rows;
                let t_3 = four_queries.w - four_rows;
                sum_0 += t_0 * t_0;
                sum_1 += t_1 * t_1;
                sum_2 += t_2 * t_2;
                sum_3 += t_3 * t_3;
            }
        }
        workgroupBarrier();
        tile[(place.y * 4u) * 16u + place.x] = sum_0;
        tile[(place.y * 4u + 1u) * 16u + place.x] = sum_1;
        tile[(place.y * 4u + 2u) * 16u + place.x] = sum_2;
        tile[(place.y * 4u + 3u) * 16u + place.x] = sum_3;
        workgroupBarrier();
        for (var s = 0u; s < 4u; s++) {
            let column = (s * 4u + quarter + own * 4u) & 15u;
            let four = tile[own * 16u + column];
            for (var i = 0u; i < 4u; i++) {
                var row = first_row + column * 4u + i;
                var d2 = four[i];
                if row >= settings.rows || !(d2 < best_d2[K - 1u]) {
                    continue;
                }
                if settings.is_grouped != 0u && row_groups[row] == own_group {
                    continue;
                }
                for (var k = 0u; k < K; k++) {
                    if d2 < best_d2[k] {
                        let pushed_d2 = best_d2[k];
                        let pushed_row = best_row[k];
                        best_d2[k] = d2;
                        best_row[k] = row;
                        d2 = pushed_d2;
                        row = pushed_row;
                    }
                }
            }
        }
    }

    if own_query < settings.queries {
        let list = (own_query * workgroups.y + workgroup.y) * 4u + quarter;
        for (var k = 0u; k < K; k++) {
            found[(list * K + k) * 2u] = best_row[k];
            found[(list * K + k) * 2u + 1u] = bitcast<u32>(best_d2[k]);
        }
    }
}
