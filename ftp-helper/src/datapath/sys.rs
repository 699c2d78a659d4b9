//! The bpf(2) commands that aya has no call for, or none that fits: loading with
//! functions of kernel modules, links in any order, questions by id.

use std::{
    ffi::{CString, c_char},
    io,
    mem::{self, MaybeUninit},
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya::Pod;
use aya_obj::generated::{
    BPF_F_AFTER, BPF_F_BEFORE, BPF_F_ID, BPF_F_RDONLY, bpf_attach_type, bpf_attr, bpf_btf_info,
    bpf_cmd, bpf_insn, bpf_prog_info, bpf_prog_type,
};

/// Bytes of a name in the kernel, with the NUL.
const NAME: usize = 16;

/// A program as the kernel takes it.
pub(super) struct Image<'a> {
    pub(super) name: &'a str,
    pub(super) license: &'a std::ffi::CStr,
    pub(super) instructions: &'a [bpf_insn],
    /// The types that the records below speak of.
    pub(super) types: BorrowedFd<'a>,
    pub(super) functions: Records<'a>,
    pub(super) lines: Records<'a>,
    /// Types of the modules whose functions are called; the instructions hold
    /// the index.
    pub(super) modules: &'a [i32],
}

/// Records of one size.
pub(super) struct Records<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) size: usize,
}

impl Records<'_> {
    fn count(&self) -> u32 {
        self.bytes.len().checked_div(self.size).map_or(0, length)
    }
}

/// Loads a program. With a buffer for it, the verifier tells what it sees.
pub(super) fn load_program(image: &Image<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attribute = zero();
    // SAFETY: all parts of the union are plain numbers, and all zero is one of
    // their values.
    let load = unsafe { &mut attribute.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
    load.insns = address(image.instructions);
    load.insn_cnt = length(image.instructions.len());
    load.license = image.license.as_ptr() as u64;
    load.prog_name = name(image.name);
    load.prog_btf_fd = number(image.types);
    load.func_info = address(image.functions.bytes);
    load.func_info_cnt = image.functions.count();
    load.func_info_rec_size = length(image.functions.size);
    load.line_info = address(image.lines.bytes);
    load.line_info_cnt = image.lines.count();
    load.line_info_rec_size = length(image.lines.size);
    load.fd_array = address(image.modules);
    if !log.is_empty() {
        load.log_level = LOG_LEVEL;
        load.log_buf = log.as_mut_ptr() as u64;
        load.log_size = length(log.len());
    }
    // SAFETY: the pointers are those of slices that live across the call, with
    // their lengths, and the command returns a new descriptor.
    unsafe { open(bpf_cmd::BPF_PROG_LOAD, &mut attribute) }
}

/// The path to the error, and statistics.
const LOG_LEVEL: u32 = 1 | 4;

/// Loads the types of a program.
pub(super) fn load_types(types: &[u8]) -> io::Result<OwnedFd> {
    let mut attribute = zero();
    attribute.__bindgen_anon_7.btf = address(types);
    attribute.__bindgen_anon_7.btf_size = length(types.len());
    // SAFETY: the pointer is that of a slice that lives across the call, with its
    // length, and the command returns a new descriptor.
    unsafe { open(bpf_cmd::BPF_BTF_LOAD, &mut attribute) }
}

/// Pins what the descriptor stands for.
pub(super) fn pin(object: impl AsFd, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attribute = zero();
    attribute.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attribute.__bindgen_anon_4.bpf_fd = number(object.as_fd());
    // SAFETY: the path lives across the call.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attribute) }?;
    Ok(())
}

/// Opens what is pinned.
pub(super) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    open_pin_with(path, 0)
}

/// Opens a pinned map to read it, which takes the right to read the pin and
/// nothing else.
pub fn open_pin_to_read(path: &Path) -> io::Result<OwnedFd> {
    open_pin_with(path, BPF_F_RDONLY)
}

fn open_pin_with(path: &Path, flags: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attribute = zero();
    attribute.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attribute.__bindgen_anon_4.file_flags = flags;
    // SAFETY: the path lives across the call, and the command returns a new
    // descriptor.
    unsafe { open(bpf_cmd::BPF_OBJ_GET, &mut attribute) }
}

/// A place among the programs of a hook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
    /// Right before the program of this id.
    Before(u32),
    /// Right behind the program of this id.
    After(u32),
}

/// Attaches a program to a hook of a network device.
pub fn create_link(
    program: BorrowedFd<'_>,
    device: u32,
    hook: bpf_attach_type,
    place: Place,
) -> io::Result<OwnedFd> {
    let (flags, relative) = match place {
        Place::First => (BPF_F_BEFORE, 0),
        Place::Last => (BPF_F_AFTER, 0),
        Place::Before(id) => (BPF_F_BEFORE | BPF_F_ID, id),
        Place::After(id) => (BPF_F_AFTER | BPF_F_ID, id),
    };
    let mut attribute = zero();
    attribute.link_create.__bindgen_anon_1.prog_fd = number(program);
    attribute.link_create.__bindgen_anon_2.target_ifindex = device;
    attribute.link_create.attach_type = hook as u32;
    attribute.link_create.flags = flags;
    attribute
        .link_create
        .__bindgen_anon_3
        .tcx
        .__bindgen_anon_1
        .relative_id = relative;
    // SAFETY: the attribute holds no pointer, and the command returns a new
    // descriptor.
    unsafe { open(bpf_cmd::BPF_LINK_CREATE, &mut attribute) }
}

/// Puts a program in the place of that of a link, between two packets.
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attribute = zero();
    attribute.link_update.link_fd = number(link);
    attribute.link_update.__bindgen_anon_1.new_prog_fd = number(program);
    // SAFETY: the attribute holds no pointer.
    unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attribute) }?;
    Ok(())
}

/// Ends what a link holds, before the call returns.
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attribute = zero();
    attribute.link_detach.link_fd = number(link);
    // SAFETY: the attribute holds no pointer.
    unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &mut attribute) }?;
    Ok(())
}

/// Ids of the programs of a hook, in the order in which they run.
pub(super) fn programs_of(device: u32, hook: bpf_attach_type) -> io::Result<Vec<u32>> {
    // The kernel's limit (BPF_MPROG_MAX).
    let mut ids = vec![0_u32; 64];
    let mut attribute = zero();
    attribute.query.__bindgen_anon_1.target_ifindex = device;
    attribute.query.attach_type = hook as u32;
    attribute.query.prog_ids = ids.as_mut_ptr() as u64;
    attribute.query.__bindgen_anon_2.count = length(ids.len());
    // SAFETY: the pointer is that of a vector that lives across the call, with
    // its length.
    unsafe { bpf(bpf_cmd::BPF_PROG_QUERY, &mut attribute) }?;
    // SAFETY: the kernel wrote a number there.
    let count = unsafe { attribute.query.__bindgen_anon_2.count };
    ids.truncate(count as usize);
    Ok(ids)
}

/// Opens a program by its id. Needs CAP_SYS_ADMIN.
pub fn open_program(id: u32) -> io::Result<OwnedFd> {
    let mut attribute = zero();
    attribute.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    // SAFETY: the attribute holds no pointer, and the command returns a new
    // descriptor.
    unsafe { open(bpf_cmd::BPF_PROG_GET_FD_BY_ID, &mut attribute) }
}

/// What the kernel says about a program.
pub fn program_info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: the structure is made of plain numbers.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    // SAFETY: the structure is the one that belongs to programs, and all zero
    // asks for no arrays.
    unsafe { information(program, &mut info) }?;
    Ok(info)
}

/// The id of the types that come after these; 0 begins. `None` at the end.
/// Needs CAP_SYS_ADMIN.
pub(super) fn next_types(id: u32) -> io::Result<Option<u32>> {
    let mut attribute = zero();
    attribute.__bindgen_anon_6.__bindgen_anon_1.start_id = id;
    // SAFETY: the attribute holds no pointer.
    match unsafe { bpf(bpf_cmd::BPF_BTF_GET_NEXT_ID, &mut attribute) } {
        // SAFETY: the kernel wrote a number there.
        Ok(_) => Ok(Some(unsafe { attribute.__bindgen_anon_6.next_id })),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens types by their id. Needs CAP_SYS_ADMIN.
pub(super) fn open_types(id: u32) -> io::Result<OwnedFd> {
    let mut attribute = zero();
    attribute.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
    // SAFETY: the attribute holds no pointer, and the command returns a new
    // descriptor.
    unsafe { open(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attribute) }
}

/// The name of the module that types belong to, `vmlinux` for the kernel itself.
/// `None` for those of a program.
pub(super) fn module_of(types: BorrowedFd<'_>) -> io::Result<Option<String>> {
    // The kernel's limit (MODULE_NAME_LEN), generously.
    let mut name = [0_u8; 128];
    // SAFETY: the structure is made of plain numbers.
    let mut info: bpf_btf_info = unsafe { mem::zeroed() };
    info.name = name.as_mut_ptr() as u64;
    info.name_len = length(name.len());
    // SAFETY: the structure is the one that belongs to types, and the pointer in
    // it is that of an array that lives across the call, with its length.
    unsafe { information(types, &mut info) }?;
    if info.kernel_btf == 0 {
        return Ok(None);
    }
    let end = name.iter().position(|byte| *byte == 0);
    let name = &name[..end.unwrap_or(name.len())];
    Ok(Some(String::from_utf8_lossy(name).into_owned()))
}

/// Waits until everything that the kernel does under RCU at this moment is over
/// (`MEMBARRIER_CMD_GLOBAL`).
pub(super) fn synchronize() -> io::Result<()> {
    const GLOBAL: libc::c_long = 1;
    // SAFETY: the call takes no pointers.
    match unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Where a walk through a hash map goes on. The kernel's is the number of a
/// bucket; other maps would keep a key there.
pub(super) type Token = [u32; 16];

/// What a walk found, and where it goes on unless it is at its end.
pub(super) type Batch<K, V> = (Vec<(K, V)>, Option<Token>);

/// The next entries of a hash map whose keys and values are these, at most so
/// many of them.
pub(super) fn lookup_batch<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    from: Option<&Token>,
    most: usize,
) -> io::Result<Batch<K, V>> {
    let mut keys: Vec<MaybeUninit<K>> = Vec::with_capacity(most);
    let mut values: Vec<MaybeUninit<V>> = Vec::with_capacity(most);
    let mut next: Token = [0; 16];
    let mut attribute = zero();
    attribute.batch.in_batch = from.map_or(0, |from| address(from));
    attribute.batch.out_batch = next.as_mut_ptr() as u64;
    attribute.batch.keys = keys.as_mut_ptr() as u64;
    attribute.batch.values = values.as_mut_ptr() as u64;
    attribute.batch.count = length(most);
    attribute.batch.map_fd = number(map);
    // SAFETY: the pointers are those of memory that lives across the call, with
    // room for this many entries. The kernel writes keys and values of the sizes of
    // the map, which are those of the types: the caller's table has seen to that.
    let result = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attribute) };
    let at_end = match result {
        Ok(_) => false,
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
        Err(error) => return Err(error),
    };
    // SAFETY: the kernel wrote a number there.
    let count = (unsafe { attribute.batch.count } as usize).min(most);
    // SAFETY: the kernel filled in this many of each, and every bit pattern is a
    // value of the types.
    let entries = unsafe {
        keys.set_len(count);
        values.set_len(count);
        let keys = keys.into_iter().map(|key| key.assume_init());
        keys.zip(values.into_iter().map(|value| value.assume_init()))
            .collect()
    };
    Ok((entries, (!at_end).then_some(next)))
}

/// A packet to run a program on, and what it makes of it.
#[derive(Debug)]
pub struct Run<'a> {
    /// The packet.
    pub packet: &'a [u8],
    /// Where it is put afterwards.
    pub changed: &'a mut [u8],
    /// Its `struct __sk_buff`.
    pub context: &'a [u8],
    /// Where that is put afterwards.
    pub changed_context: &'a mut [u8],
    /// How many times; each run gets the packet as the one before left it.
    pub repeat: u32,
}

/// What came of a [`Run`].
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// What the program returned.
    pub verdict: u32,
    /// Length of the packet.
    pub length: usize,
    /// Nanoseconds that a run took on average.
    pub nanoseconds: u32,
}

/// Runs a program on a packet.
pub fn test_run(program: BorrowedFd<'_>, run: Run<'_>) -> io::Result<Ran> {
    let Run {
        packet,
        changed,
        context,
        changed_context,
        repeat,
    } = run;
    let mut attribute = zero();
    attribute.test.prog_fd = number(program);
    attribute.test.data_in = address(packet);
    attribute.test.data_size_in = length(packet.len());
    attribute.test.data_out = changed.as_mut_ptr() as u64;
    attribute.test.data_size_out = length(changed.len());
    attribute.test.ctx_in = address(context);
    attribute.test.ctx_size_in = length(context.len());
    attribute.test.ctx_out = changed_context.as_mut_ptr() as u64;
    attribute.test.ctx_size_out = length(changed_context.len());
    attribute.test.repeat = repeat;
    // SAFETY: the pointers are those of slices that live across the call, with
    // their lengths.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attribute) }?;
    // SAFETY: the kernel wrote numbers there.
    let test = unsafe { attribute.test };
    Ok(Ran {
        verdict: test.retval,
        length: test.data_size_out as usize,
        nanoseconds: test.duration,
    })
}

/// An attribute with nothing set.
pub fn zero() -> bpf_attr {
    // SAFETY: all parts of the union are plain numbers.
    unsafe { mem::zeroed() }
}

fn address<T>(slice: &[T]) -> u64 {
    slice.as_ptr() as u64
}

/// A length that the kernel can not take becomes one that it refuses.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn number(descriptor: BorrowedFd<'_>) -> u32 {
    descriptor.as_raw_fd().cast_unsigned()
}

fn name(name: &str) -> [c_char; NAME] {
    let mut short = [0; NAME];
    for (to, from) in short[..NAME - 1].iter_mut().zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    short
}

/// # Safety
///
/// `T` must be the structure that belongs to what the descriptor stands for,
/// with valid pointers in it.
unsafe fn information<T>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attribute = zero();
    attribute.info.bpf_fd = number(object);
    attribute.info.info = std::ptr::from_mut(info) as u64;
    attribute.info.info_len = length(size_of::<T>());
    // SAFETY: the kernel writes at most this length to the structure, which lives
    // across the call; the caller vouches for the pointers.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attribute) }?;
    Ok(())
}

/// A command that returns a new descriptor.
///
/// # Safety
///
/// `attribute` must be set up for the command, with valid pointers in it, and the command
/// must return a new descriptor.
pub unsafe fn open(command: bpf_cmd, attribute: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the caller vouches for the attribute.
    let descriptor = unsafe { bpf(command, attribute) }?;
    // SAFETY: the caller says that it is new, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// The system call.
///
/// # Safety
///
/// `attribute` must be set up for the command, with valid pointers in it.
unsafe fn bpf(command: bpf_cmd, attribute: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes `size` bytes of the attribute, which is
    // a valid reference; the caller vouches for what it holds.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attribute),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
