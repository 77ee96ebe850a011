;; nostart: a component without `wasi:cli/run`.
(component)
