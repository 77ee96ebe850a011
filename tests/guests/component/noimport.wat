;; noimport: imports an instance that no host provides.
(component
  (import "nowhere:nothing/at-all@1.0.0" (instance (export "nothing" (func))))
  (core module $program (func (export "run") (result i32) i32.const 0))
  (core instance $program (instantiate $program))
  (func $run (result (result)) (canon lift (core func $program "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))
