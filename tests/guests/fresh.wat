;; fresh: looks at everything that an earlier instance could have left, says "CLEAN\n", or "LEAK " and where, and then
;; writes over all of it: m the pages from 1 MiB on, i a page of the image, g a global, t the table, n new pages. It
;; does not end before its request's body does. (In text, because C has no way to a table.)
(module
  (type $number (func (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 64)
  (table $table 16 funcref)
  (elem (table $table) (i32.const 0) func $first)
  (elem declare func $other)
  (global $global (mut i32) (i32.const 7))
  (data (i32.const 1024) "Content-Type: text/plain\n\nCLEAN\nLEAK -----\n")
  (data (i32.const 524288) "image")
  (data $passive "passive")

  (func $first (type $number) (i32.const 1))
  (func $other (type $number) (i32.const 2))

  ;; Something is not as it was at first: its letter, and where that goes.
  (func $leaks (param $yes i32) (param $at i32) (param $letter i32)
    (if (local.get $yes) (then (i32.store8 (local.get $at) (local.get $letter)))))

  ;; Whether one of these pages holds anything. Afterwards each holds a secret.
  (func $look (param $at i32) (param $pages i32) (result i32) (local $found i32)
    (loop $next
      (local.set $found (i32.or (local.get $found) (i32.load (local.get $at))))
      (i32.store (local.get $at) (i32.const 0x5ec2e7))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $next (local.tee $pages (i32.sub (local.get $pages) (i32.const 1)))))
    (local.get $found))

  (func (export "_start") (local $clean i32)
    (call $leaks (call $look (i32.const 1048576) (i32.const 256)) (i32.const 1061) (i32.const 0x6d))

    ;; "imag", and then what is behind the text of the segment.
    (call $leaks (i32.ne (i32.load (i32.const 524288)) (i32.const 0x67616d69)) (i32.const 1062) (i32.const 0x69))
    (call $leaks (i32.load (i32.const 524296)) (i32.const 1062) (i32.const 0x69))
    (i64.store (i32.const 524288) (i64.const 0x5ec2e7))
    (i64.store (i32.const 524296) (i64.const 0x5ec2e7))

    (call $leaks (i32.ne (global.get $global) (i32.const 7)) (i32.const 1063) (i32.const 0x67))
    (global.set $global (i32.const 0x5ec2e7))

    (call $leaks (i32.ne (call_indirect $table (type $number) (i32.const 0)) (i32.const 1)) (i32.const 1064) (i32.const 0x74))
    (call $leaks (i32.eqz (ref.is_null (table.get $table (i32.const 5)))) (i32.const 1064) (i32.const 0x74))
    (call $leaks (i32.ne (table.size $table) (i32.const 16)) (i32.const 1064) (i32.const 0x74))
    (drop (table.grow $table (ref.func $other) (i32.const 16)))
    (table.fill $table (i32.const 0) (ref.func $other) (i32.const 32))

    (call $leaks (call $look (i32.mul (memory.grow (i32.const 4)) (i32.const 65536)) (i32.const 64)) (i32.const 1065) (i32.const 0x6e))

    ;; It fails where an earlier instance has dropped it.
    (memory.init $passive (i32.const 64) (i32.const 0) (i32.const 7))
    (data.drop $passive)

    ;; The five letters are still what they were.
    (local.set $clean (i32.and
      (i32.eq (i32.load (i32.const 1061)) (i32.const 0x2d2d2d2d)) (i32.eq (i32.load8_u (i32.const 1065)) (i32.const 0x2d))))
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 26))
    (i32.store (i32.const 8) (select (i32.const 1050) (i32.const 1056) (local.get $clean)))
    (i32.store (i32.const 12) (select (i32.const 6) (i32.const 11) (local.get $clean)))
    ;; One after the other: a write may end with its first part.
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))

    (i32.store (i32.const 0) (i32.const 128))
    (i32.store (i32.const 4) (i32.const 128))
    (loop $more
      (i32.store (i32.const 16) (i32.const 0))
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 16)))
      (br_if $more (i32.load (i32.const 16))))))
