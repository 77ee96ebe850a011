;; tiny: the smallest script: "Hello, World!\n", one host call.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\2a\00\00\00") ;; one buffer: 42 bytes at 16
  (data (i32.const 16) "Content-Type: text/plain\r\n\r\nHello, World!\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
