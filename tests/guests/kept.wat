;; kept: its start-up leaves a number in a global and in pages from 1 MiB on, and can be run ahead of the requests. A
;; request says "CLEAN " and the number, which is 0 without a start-up, or "LEAK " and the number where the pages do not
;; hold that or pages behind them hold anything. Then it writes over all of it. It does not end before its request's body does.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 64)
  (global $number (mut i32) (i32.const 0))
  (data (i32.const 1024) "Content-Type: text/plain\n\nCLEAN ?\nLEAK ?\n")

  ;; Whether one of these pages does not hold a number. Afterwards each holds another.
  (func $look (param $at i32) (param $pages i32) (param $number i32) (param $next i32) (result i32) (local $found i32)
    (loop $page
      (local.set $found (i32.or (local.get $found) (i32.xor (i32.load (local.get $at)) (local.get $number))))
      (i32.store (local.get $at) (local.get $next))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $page (local.tee $pages (i32.sub (local.get $pages) (i32.const 1)))))
    (local.get $found))

  (func (export "wizer-initialize")
    (global.set $number (i32.const 7))
    (drop (call $look (i32.const 1048576) (i32.const 128) (i32.const 0) (i32.const 7))))

  (func (export "_start") (local $leaks i32)
    (local.set $leaks (i32.or
      (call $look (i32.const 1048576) (i32.const 128) (global.get $number) (i32.const 0x5ec2e7))
      (call $look (i32.const 2097152) (i32.const 128) (i32.const 0) (i32.const 0x5ec2e7))))
    (i32.store8 (i32.const 1056) (i32.add (i32.const 48) (global.get $number)))
    (i32.store8 (i32.const 1063) (i32.add (i32.const 48) (global.get $number)))
    (global.set $number (i32.const 8))
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 26))
    (i32.store (i32.const 8) (select (i32.const 1058) (i32.const 1050) (local.get $leaks)))
    (i32.store (i32.const 12) (select (i32.const 7) (i32.const 8) (local.get $leaks)))
    ;; One after the other: a write may end with its first part.
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))

    (i32.store (i32.const 0) (i32.const 128))
    (i32.store (i32.const 4) (i32.const 128))
    (loop $more
      (i32.store (i32.const 16) (i32.const 0))
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
      (br_if $more (i32.load (i32.const 16))))))
