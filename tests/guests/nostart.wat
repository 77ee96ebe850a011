;; nostart: a module without `_start`, which can never run as a script.
(module
  (memory (export "memory") 1)
  (func (export "answer") (result i32) (i32.const 42)))
