"""fragment-memory.py GIB: touches that much memory, gives back all but one page in 256, and says so; keeps them until its input ends."""
import mmap
import sys

PAGE = mmap.PAGESIZE
PIECE = 256 * PAGE

size = int(sys.argv[1]) << 30
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, size, PAGE):
    memory[at] = 1
for at in range(0, size, PIECE):
    memory.madvise(mmap.MADV_DONTNEED, at + PAGE, PIECE - PAGE)
print("fragmented", flush=True)
sys.stdin.read()
