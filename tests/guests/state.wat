;; state: counts in everything an instance can remember: a cell of memory, a global, the size of a table, the size of
;; the memory. Says "memory=1 global=1 table=1 pages=2\n", the same for ever: whoever sees another number was given an
;; instance that was used before. (In text, because C has no way to a table.)
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (table $table 0 funcref)
  (global $global (mut i32) (i32.const 0))
  (data (i32.const 16) "Content-Type: text/plain\r\n\r\nmemory=? global=? table=? pages=?\n")

  ;; One decimal digit at an address, "9" for all that is larger.
  (func $digit (param $at i32) (param $value i32)
    (i32.store8 (local.get $at)
      (i32.add (i32.const 48)
        (select (local.get $value) (i32.const 9) (i32.lt_u (local.get $value) (i32.const 9))))))

  (func (export "_start")
    (i32.store (i32.const 1024) (i32.add (i32.load (i32.const 1024)) (i32.const 1)))
    (global.set $global (i32.add (global.get $global) (i32.const 1)))
    (drop (table.grow $table (ref.null func) (i32.const 1)))
    (drop (memory.grow (i32.const 1)))
    (call $digit (i32.const 51) (i32.load (i32.const 1024)))
    (call $digit (i32.const 60) (global.get $global))
    (call $digit (i32.const 68) (table.size $table))
    (call $digit (i32.const 76) (memory.size))
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 62))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))
      (then (call $proc_exit (i32.const 1))))))
