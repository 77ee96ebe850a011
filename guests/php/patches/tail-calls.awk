# For patches/0007-tail-calls.patch, in Zend/zend_vm_execute.h: handlers with more arguments than others, and calls of them.

/ZEND_VM_TAIL_CALL\(.*ZEND_OPCODE_HANDLER_ARGS_PASSTHRU_CC\)\)/ {
    sub(/ZEND_VM_TAIL_CALL/, "ZEND_VM_HELPER_CALL")
}

/^static.*ZEND_OPCODE_HANDLER_ARGS_DC\)$/ {
    is_helper = 1
    for (i = 1; i <= 3; i++) print "#pragma push_macro(\"" changed(i) "\")\n#undef " changed(i)
    print "#define ZEND_VM_CONTINUE() do { SAVE_OPLINE(); return ZEND_VM_TO_LOOP; } while (0)"
    print "#define ZEND_VM_INTERRUPT() ZEND_VM_CONTINUE()"
    # The one call there is of another handler.
    print "#define ZEND_VM_TAIL_CALL(call) do { SAVE_OPLINE(); return ZEND_VM_TO_LEAVE_HELPER; } while (0)"
}

is_helper && /ZEND_VM_TAIL_CALL\(/ && !/ZEND_VM_TAIL_CALL\(zend_leave_helper_SPEC\(/ {
    print "tail-calls.awk does not know: " $0 > "/dev/stderr"
    exit 1
}

{ print }

is_helper && /^}/ {
    is_helper = 0
    for (i = 1; i <= 3; i++) print "#pragma pop_macro(\"" changed(i) "\")"
}

function changed(i) {
    return i == 1 ? "ZEND_VM_CONTINUE" : i == 2 ? "ZEND_VM_INTERRUPT" : "ZEND_VM_TAIL_CALL"
}
