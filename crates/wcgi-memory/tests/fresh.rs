//! Nothing that was written into a memory is in the next one, whatever the kernel does with its pages in between.
//!
//! A model says what each memory must hold. The kernel is made to move pages: out to swap, to other places, out of its
//! caches. What a machine does not let a test do is said on stderr, and the rest is tested all the same.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, clippy::print_stderr, reason = "it does what an instance does, and says what it left out")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's helpers may fail like the test")]

use std::fs::{self, File};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use rustix::mm::{Advice, madvise};
use wcgi_memory::{Image, Memory, Pool, Shape};

const SHAPE: Shape = Shape { reservation: 64 << 20, guard: 1 << 20 };
const LEN: usize = 2 << 20;

fn page() -> usize {
    rustix::param::page_size()
}

/// Images with bytes here and there, and none.
fn images() -> Vec<Option<Arc<Image>>> {
    let with = |pages: &[usize], byte: u8| {
        let mut memory = vec![0; LEN];
        for at in pages {
            memory[at * page()..(at + 1) * page()].fill(byte);
        }
        Some(Arc::new(Image::new(&memory, LEN).unwrap()))
    };
    let mut like = with(&(0..60).collect::<Vec<_>>(), 1).unwrap().to_vec();
    let base = Arc::new(Image::new(&like, LEN).unwrap());
    like[17 * page()..18 * page()].fill(9);
    like[100 * page() + 5] = 9;
    let like = Image::like(&base, &like, LEN).unwrap();
    assert!(like.shares_with(&base));
    vec![None, with(&[0, 1, 2, 200], 7), Some(base), Some(Arc::new(like))]
}

/// The byte at `at`.
fn read(memory: &Memory, at: usize) -> u8 {
    assert!(at < memory.len());
    // SAFETY: it lies within the memory.
    unsafe { memory.as_ptr().as_ptr().add(at).read_volatile() }
}

fn write(memory: &Memory, at: usize, byte: u8) {
    assert!(at < memory.len());
    // SAFETY: it lies within the memory, which nobody else uses.
    unsafe { memory.as_ptr().as_ptr().add(at).write_volatile(byte) };
}

/// Where `memory` is not what `image` says.
fn wrong(memory: &Memory, image: Option<&Image>) -> Option<usize> {
    let expected = image.map_or_else(|| vec![0; LEN], Image::to_vec);
    (0..memory.len()).step_by(64).find(|at| read(memory, *at) != expected.get(*at).copied().unwrap_or(0))
}

fn advise(memory: &Memory, advice: Advice) {
    // SAFETY: neither moving its pages nor dropping clean ones changes what a memory holds.
    let advised = unsafe { madvise(memory.as_ptr().as_ptr().cast(), memory.len(), advice) };
    advised.unwrap();
}

/// Swap space of this test's own, while it exists.
struct Swap(tempfile::NamedTempFile);

impl Swap {
    fn on() -> Option<Self> {
        // A file system that cannot be swapped to, as tmpfs, refuses.
        let file = tempfile::Builder::new().prefix("wcgi-swap-").tempfile_in("/var/tmp").ok()?;
        let path = file.path().to_str()?.to_owned();
        let run = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        let is_on = run("fallocate", &["-l", "64M", &path]) && run("mkswap", &["-q", &path]) && run("swapon", &[&path]);
        if !is_on {
            eprintln!("no swap can be had here, so no page is swapped out in this test");
        }
        is_on.then_some(Self(file))
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(self.0.path()).output();
    }
}

/// How much of this process is in swap, in KiB.
fn swapped() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSwap:")).unwrap_or("VmSwap: 0 kB");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Lend(usize),
    Write { page: usize, pages: usize, byte: u8 },
    Read(usize),
    PageOut,
    Cold,
    Grow,
    Return,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_usize..4).prop_map(Step::Lend),
        6 => (0..LEN / page(), 1_usize..20, 0_u8..3).prop_map(|(page, pages, byte)| Step::Write { page, pages, byte }),
        2 => (0..LEN / page()).prop_map(Step::Read),
        2 => Just(Step::PageOut),
        1 => Just(Step::Cold),
        1 => Just(Step::Grow),
        3 => Just(Step::Return),
    ];
    prop::collection::vec(step, 1..60)
}

/// Runs `steps` on a pool, and compares each memory with its image when it is lent.
fn run(pool: &Pool, images: &[Option<Arc<Image>>], steps: &[Step]) {
    let mut lent: Vec<(Memory, usize)> = Vec::new();
    for step in steps {
        match step {
            Step::Lend(n) => {
                let memory = pool.memory(SHAPE, images[*n].as_ref(), LEN).unwrap();
                assert_eq!(wrong(&memory, images[*n].as_deref()), None, "image {n} after {steps:?}");
                lent.push((memory, *n));
                if lent.len() > 3 {
                    lent.remove(0);
                }
            }
            Step::Return => {
                lent.pop();
            }
            step => {
                let Some((memory, _)) = lent.last_mut() else { continue };
                match step {
                    Step::Write { page: first, pages, byte } => {
                        for n in *first..(*first + *pages).min(memory.len() / page()) {
                            write(memory, n * page() + usize::from(*byte) * 64, *byte);
                            write(memory, n * page(), *byte);
                        }
                    }
                    Step::Read(n) => {
                        read(memory, n * page());
                    }
                    Step::PageOut => advise(memory, Advice::LinuxPageOut),
                    Step::Cold => advise(memory, Advice::LinuxCold),
                    Step::Grow => {
                        let len = memory.len();
                        memory.grow_to((len + (3 << 20)).min(SHAPE.reservation)).unwrap();
                        for at in (len..memory.len()).step_by(page()) {
                            assert_eq!(read(memory, at), 0);
                            write(memory, at, 5);
                        }
                    }
                    Step::Lend(_) | Step::Return => unreachable!("handled above"),
                }
            }
        }
    }
}

fn pools() -> Vec<Pool> {
    let scanning = Pool::builder().build();
    if !scanning.scans() {
        eprintln!("this kernel has no PAGEMAP_SCAN, so only the slower way is tested");
    }
    vec![
        scanning,
        Pool::builder().scan(false).build(),
        Pool::builder().keep_each(64 << 10).build(),
        Pool::builder().keep(0).build(),
        Pool::builder().slots(2).build(),
    ]
}

#[test]
fn any_sequence_leaves_nothing_for_the_next() {
    let swap = Swap::on();
    let (images, pools) = (images(), pools());
    proptest!(ProptestConfig::with_cases(64), |(steps in steps())| {
        for pool in &pools {
            run(pool, &images, &steps);
        }
    });
    drop(swap);
}

#[test]
fn a_page_that_was_swapped_out_is_reset_too() {
    let Some(_swap) = Swap::on() else { return };
    let pool = Pool::builder().build();
    let images = images();
    let mut most = 0;
    for round in 0..20 {
        let image = images[round % images.len()].as_ref();
        let memory = pool.memory(SHAPE, image, LEN).unwrap();
        assert_eq!(wrong(&memory, image.map(Arc::as_ref)), None, "round {round}");
        for at in (0..LEN).step_by(page()) {
            write(&memory, at, 0x5e);
        }
        advise(&memory, Advice::LinuxPageOut);
        most = most.max(swapped());
    }
    assert!(most > 1024, "pages were in swap: {most} KiB");
}

#[test]
fn pages_that_the_kernel_moves_are_reset_too() {
    let path = "/proc/sys/vm/compact_memory";
    if File::options().write(true).open(path).is_err() {
        eprintln!("only root may have the kernel compact its memory, so no page is moved in this test");
        return;
    }
    let pool = Pool::builder().build();
    let images = images();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = fs::write(path, "1");
            }
        });
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (pool, images) = (&pool, &images);
                scope.spawn(move || {
                    for round in 0..3000 {
                        let image = images[(worker + round) % images.len()].as_ref();
                        let memory = pool.memory(SHAPE, image, LEN).unwrap();
                        let page = (round * 7) % (LEN / page() - 8) * page();
                        let expected = image.map_or_else(|| vec![0; LEN], |image| image.to_vec());
                        for at in (page..page + 8 * self::page()).step_by(64) {
                            assert_eq!(read(&memory, at), expected[at], "round {round}");
                            write(&memory, at, 0x5e);
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
}

#[test]
fn a_stack_holds_zeros() {
    let pool = Pool::builder().build();
    let len = 1 << 20;
    for _ in 0..3 {
        let stack = pool.stack(len).unwrap();
        assert_eq!(stack.addresses().len(), len);
        assert_eq!(stack.guard().end.addr(), stack.addresses().start);
        for at in (8..len).step_by(4096 - 8) {
            // SAFETY: it lies within the stack, which nobody else uses.
            let word = unsafe { stack.top().sub(at) };
            // SAFETY: as above.
            unsafe {
                assert_eq!(word.read_volatile(), 0);
                word.write_volatile(0x5e);
            }
        }
    }
}

/// Most stacks are used by a few pages, and some by more.
#[test]
fn a_stack_that_was_used_to_any_depth_holds_zeros() {
    let pool = Pool::builder().build();
    let len = 1 << 20;
    let depths = [4096, 16 << 10, 17 << 10, 4096, 24 << 10, 25 << 10, 300 << 10, 4096, 900 << 10, 4096];
    for depth in depths {
        let stack = pool.stack(len).unwrap();
        for at in (8..=len).step_by(8) {
            // SAFETY: it lies within the stack, which nobody else uses.
            let word = unsafe { stack.top().sub(at).cast::<u64>() };
            // SAFETY: as above.
            unsafe {
                assert_eq!(word.read_volatile(), 0, "{at} of {depth}");
                // As calls leave it: words here and there.
                if at <= depth && at % 1000 < 100 {
                    word.write_volatile(0x5e);
                }
            }
        }
    }
}

/// The pages of an earlier, deeper use are still there.
#[test]
fn what_a_stack_has_kept_counts_however_little_is_used_later() {
    let pool = Pool::builder().idle(Duration::from_secs(600)).build();
    let use_to = |depth: usize| {
        let stack = pool.stack(1 << 20).unwrap();
        for at in (page()..=depth).step_by(page()) {
            // SAFETY: it lies within the stack, which nobody else uses.
            unsafe { stack.top().sub(at).write_volatile(1) };
        }
        drop(stack);
        pool.usage().kept_bytes
    };
    if !pool.scans() {
        return;
    }
    let shallow = use_to(page());
    let deep = use_to(96 << 10);
    assert!(deep >= 96 << 10 && shallow < deep, "{shallow} {deep}");
    assert_eq!(use_to(page()), deep);
}

#[test]
fn what_is_kept_is_bounded_and_given_back() {
    let pool = Pool::builder().keep(1 << 20).idle(Duration::from_millis(20)).build();
    let lent: Vec<_> = (0..8).map(|_| pool.memory(SHAPE, None, LEN).unwrap()).collect();
    for memory in &lent {
        for at in (0..LEN).step_by(page()) {
            write(memory, at, 1);
        }
    }
    assert_eq!(pool.usage().kept_bytes, 0);
    drop(lent);
    assert!(pool.usage().kept_bytes <= 1 << 20, "{:?}", pool.usage());
    // The pool's own thread does it.
    while pool.usage().free > 0 {
        std::thread::yield_now();
    }
    assert_eq!(pool.usage().kept_bytes, 0);
}

#[test]
fn one_that_grew_is_no_larger_for_the_next() {
    let pool = Pool::builder().build();
    let mut memory = pool.memory(SHAPE, None, 64 << 10).unwrap();
    memory.grow_to(32 << 20).unwrap();
    assert!(memory.grow_to(SHAPE.reservation + 1).is_err());
    write(&memory, (32 << 20) - 1, 1);
    drop(memory);
    let again = pool.memory(SHAPE, None, 64 << 10).unwrap();
    assert_eq!(again.len(), 64 << 10);
    // Whether an address beyond it can be read says nothing of the one before.
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let start = again.as_ptr().as_ptr().addr();
    let line = maps.lines().find(|line| line.starts_with(&format!("{start:x}-"))).unwrap();
    let end = usize::from_str_radix(line.split(['-', ' ']).nth(1).unwrap(), 16).unwrap();
    assert!(end - start <= (64 << 10) + (256 << 10), "{line}");
}
