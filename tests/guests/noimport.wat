;; noimport: wants a function nobody provides, so it can never be linked.
(module
  (import "nowhere" "nothing" (func $nothing))
  (memory (export "memory") 1)
  (func (export "_start") (call $nothing)))
