//! The links of an HDF5 group: its names, and where each leads. Only the links are read, not the objects they lead to, so that one
//! object that cannot be read does not hide the others.

use hdf5_reader::{
    Hdf5File,
    btree_v1::collect_btree_v1_leaves_storage,
    btree_v2::{BTreeV2Header, BTreeV2Record, collect_btree_v2_records_storage},
    error::Result,
    fractal_heap::{FractalHeap, FractalHeapDirectBlockCache},
    group::Group,
    io::Cursor,
    local_heap::LocalHeap,
    messages::{
        HdfMessage,
        link::{self, LinkMessage, LinkTarget},
        link_info::LinkInfoMessage,
        symbol_table_msg::SymbolTableMessage,
    },
    symbol_table::SymbolTableNode,
};

/// A name in a group.
pub(super) struct Link {
    pub name: String,
    pub target: Target,
}

/// Where a link leads.
pub(super) enum Target {
    /// To an object of this file, at this address.
    Here(u64),
    /// To a path in this file (a soft link). There may be nothing.
    Path(String),
    /// To an object of another file (an external link).
    Elsewhere { file: String, path: String },
}

/// The links of a group, in the order of the file.
pub(super) fn links(file: &Hdf5File, group: &Group) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    for message in &file.get_or_parse_header(group.address())?.messages {
        match message {
            HdfMessage::SymbolTable(table) => of_symbol_table(group, table, &mut links)?,
            HdfMessage::Link(message) => links.push(Link::of(message.clone())),
            HdfMessage::LinkInfo(info) => of_heap(group, info, &mut links)?,
            _ => {}
        }
    }
    Ok(links)
}

impl Link {
    fn of(message: LinkMessage) -> Self {
        let target = match message.target {
            LinkTarget::Hard { address } => Target::Here(address),
            LinkTarget::Soft { path } => Target::Path(path),
            LinkTarget::External { filename, path } => Target::Elsewhere { file: filename, path },
        };
        Self { name: message.name, target }
    }
}

/// The links of a group in the old form, whose names are in a heap of their own.
fn of_symbol_table(group: &Group, table: &SymbolTableMessage, links: &mut Vec<Link>) -> Result<()> {
    let (storage, offsets, lengths) = (group.storage(), group.offset_size(), group.length_size());
    let heap = LocalHeap::parse_at_storage(storage, table.heap_address, offsets, lengths)?;
    let leaves =
        collect_btree_v1_leaves_storage(storage, table.btree_address, offsets, lengths, None, &[], None)?;
    for (_, address) in leaves {
        // The number of entries is in the last two of the first 8 bytes. An entry has two offsets and 24 bytes.
        let start = storage.read_range(address, 8)?;
        let entries = usize::from(u16::from_le_bytes([start[6], start[7]]));
        let bytes = storage.read_range(address, 8 + entries * (2 * usize::from(offsets) + 24))?;
        for entry in SymbolTableNode::parse(&mut Cursor::new(&bytes), offsets, lengths)?.entries {
            let name = heap.get_string_storage(entry.link_name_offset, storage)?;
            const SOFT: u32 = 2; // its path is in the heap
            let target = if entry.cache_type == SOFT {
                let s = entry.scratch;
                let at = u32::from_le_bytes([s[0], s[1], s[2], s[3]]);
                Target::Path(heap.get_string_storage(u64::from(at), storage)?)
            } else {
                Target::Here(entry.object_header_address)
            };
            links.push(Link { name, target });
        }
    }
    Ok(())
}

/// The links of a group with many, which are in a heap with an index.
fn of_heap(group: &Group, info: &LinkInfoMessage, links: &mut Vec<Link>) -> Result<()> {
    let (storage, offsets, lengths) = (group.storage(), group.offset_size(), group.length_size());
    if Cursor::is_undefined_offset(info.fractal_heap_address, offsets) {
        return Ok(());
    }
    let heap = FractalHeap::parse_at_storage(storage, info.fractal_heap_address, offsets, lengths)?;
    let index = BTreeV2Header::parse_at_storage(storage, info.btree_name_index_address, offsets, lengths)?;
    let records = collect_btree_v2_records_storage(storage, &index, offsets, lengths, None, &[], None)?;
    let mut cache = FractalHeapDirectBlockCache::default();
    for record in &records {
        if let BTreeV2Record::LinkNameHash { heap_id, .. } = record {
            let bytes = heap.get_object_storage_cached(heap_id, storage, offsets, lengths, &mut cache)?;
            links.push(Link::of(link::parse(&mut Cursor::new(&bytes), offsets, lengths, bytes.len())?));
        }
    }
    Ok(())
}
