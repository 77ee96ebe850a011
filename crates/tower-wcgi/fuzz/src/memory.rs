//! Memories that are lent, written, pushed out, grown and returned in any order, against a model of what each holds.

use std::sync::{Arc, LazyLock};

use rustix::mm::{Advice, madvise};
use wcgi_memory::{Image, Memory, Pool, Shape};

/// Each byte is a step, with what comes after it as its numbers. A memory holds what the model says whenever it is lent, and
/// wherever it is read.
pub fn memory(data: &[u8]) {
    static IMAGES: LazyLock<[Option<Arc<Image>>; 4]> = LazyLock::new(images);
    static POOLS: LazyLock<[Pool; 4]> = LazyLock::new(|| {
        let pool = || Pool::builder().slots(8);
        [
            pool().build(),
            pool().scan(false).build(),
            pool().keep_each(5 * PAGE).build(),
            pool().slots(1).keep(0).build(),
        ]
    });
    let mut bytes = data.iter().copied().map(usize::from);
    let mut next = || bytes.next();
    let Some(pool) = next() else { return };
    let pool = &POOLS[pool % POOLS.len()];
    let mut lent: Vec<Lent> = Vec::new();
    while let Some(step) = next() {
        let mut number = || next().unwrap_or_default();
        let which = step / STEPS;
        match (step % STEPS, lent.len()) {
            (0, ..MOST) => lent.push(Lent::new(pool, IMAGES[which % IMAGES.len()].as_ref())),
            (_, 0) | (0, _) => {}
            (1, count) => drop(lent.swap_remove(which % count)),
            (step, count) => {
                let lent = &mut lent[which % count];
                match step {
                    2 | 3 => lent.write(number() * PAGE + number(), number(), number().to_le_bytes()[0]),
                    4 => lent.read(number() * PAGE + number()),
                    5 => lent.grow(number() % 16),
                    6 => lent.advise(Advice::LinuxPageOut),
                    _ => lent.advise(Advice::LinuxCold),
                }
            }
        }
    }
    lent.iter().for_each(Lent::check);
}

/// Nothing, some pages, many, and the same but for two.
fn images() -> [Option<Arc<Image>>; 4] {
    let mut sparse = vec![0; LEN];
    sparse[3 * PAGE..5 * PAGE].fill(7);
    sparse[40 * PAGE + 9] = 7;
    let mut full = vec![1; 48 * PAGE];
    let image = |memory: &[u8]| Arc::new(Image::new(memory, LEN).expect("there is room"));
    let (sparse, base) = (image(&sparse), image(&full));
    full[5 * PAGE..6 * PAGE].fill(9);
    full[20 * PAGE] = 9;
    let like = Arc::new(Image::like(&base, &full, LEN).expect("there is room"));
    assert!(like.shares_with(&base));
    [None, Some(sparse), Some(base), Some(like)]
}

/// A memory, and what it must hold.
struct Lent {
    memory: Memory,
    model: Vec<u8>,
}

impl Lent {
    fn new(pool: &Pool, image: Option<&Arc<Image>>) -> Self {
        let memory = pool.memory(SHAPE, image, LEN).expect("there is room");
        let model = image.map_or_else(|| vec![0; LEN], |image| image.to_vec());
        let lent = Self { memory, model };
        lent.check();
        lent
    }

    fn check(&self) {
        assert_eq!(self.memory.len(), self.model.len());
        // SAFETY: that long it is, and only this thread has it.
        let bytes = unsafe { std::slice::from_raw_parts(self.memory.as_ptr().as_ptr(), self.memory.len()) };
        if bytes != self.model {
            let wrong = bytes.iter().zip(&self.model).position(|(byte, expected)| byte != expected);
            panic!("a memory does not hold what it must at {wrong:?}");
        }
    }

    fn write(&mut self, at: usize, len: usize, byte: u8) {
        let at = at % self.model.len();
        let end = (at + len * 64).min(self.model.len());
        // SAFETY: it lies within the memory, which is as long as the model and which only this thread has.
        unsafe { self.memory.as_ptr().as_ptr().add(at).write_bytes(byte, end - at) };
        self.model[at..end].fill(byte);
    }

    fn read(&self, at: usize) {
        let at = at % self.model.len();
        // SAFETY: as for a write.
        assert_eq!(unsafe { self.memory.as_ptr().as_ptr().add(at).read_volatile() }, self.model[at]);
    }

    fn grow(&mut self, pages: usize) {
        let len = self.memory.len() + pages * 8 * PAGE;
        let grown = self.memory.grow_to(len);
        assert_eq!(grown.is_ok(), len <= SHAPE.reservation);
        self.model.resize(self.memory.len(), 0);
    }

    fn advise(&self, advice: Advice) {
        // SAFETY: wherever the kernel has a page, its content is the same.
        let _ = unsafe { madvise(self.memory.as_ptr().as_ptr().cast(), self.memory.len(), advice) };
    }
}

const PAGE: usize = 4096;
const LEN: usize = 64 * PAGE;
const SHAPE: Shape = Shape { reservation: 4 << 20, guard: 1 << 16 };
const MOST: usize = 4;
const STEPS: usize = 8;
