# For patches/0007-tail-calls.patch, in Zend/zend_vm_execute.h: handlers with more arguments than others, and calls of them; and what
# mostly comes after a handler, which likely-next.txt says, the first file that is read: HANDLER NEXT...

NR == FNR {
    count = split($0, word, " ")
    unknown[word[1]] = 1
    for (i = 2; i <= count; i++) {
        likely[word[1]] = likely[word[1]] " ZEND_VM_IF_NEXT(" word[i] ")"
        if (!(word[i] in declared)) called[++called_count] = word[i]
        declared[word[i]] = unknown[word[i]] = 1
    }
    next
}

/ZEND_VM_TAIL_CALL\(.*ZEND_OPCODE_HANDLER_ARGS_PASSTHRU_CC\)\)/ {
    sub(/ZEND_VM_TAIL_CALL/, "ZEND_VM_HELPER_CALL")
}

/^static.*ZEND_OPCODE_HANDLER_ARGS_DC\)$/ {
    is_helper = 1
    for (i = 1; i <= 4; i++) print "#pragma push_macro(\"" changed(i) "\")\n#undef " changed(i)
    print "#define ZEND_VM_CONTINUE() do { SAVE_OPLINE(); return ZEND_VM_TO_LOOP; } while (0)"
    print "#define ZEND_VM_INTERRUPT() ZEND_VM_CONTINUE()"
    print "#define ZEND_VM_EXCEPTION() ZEND_VM_CONTINUE()"
    # The one call there is of another handler.
    print "#define ZEND_VM_TAIL_CALL(call) do { SAVE_OPLINE(); return ZEND_VM_TO_LEAVE_HELPER; } while (0)"
}

is_helper && /ZEND_VM_TAIL_CALL\(/ && !/ZEND_VM_TAIL_CALL\(zend_leave_helper_SPEC\(/ {
    print "tail-calls.awk does not know: " $0 > "/dev/stderr"
    exit failed = 1
}

/^static .*ZEND_FASTCALL [A-Za-z0-9_]+\(ZEND_OPCODE_HANDLER_ARGS\)$/ {
    name = $0
    sub(/\(ZEND_OPCODE_HANDLER_ARGS\)$/, "", name)
    sub(/.* /, "", name)
    if (name ~ /_HANDLER$/ && !/always_inline/) handlers[++handler_count] = name
    delete unknown[name]
    print "#undef ZEND_VM_LIKELY_NEXT\n#define ZEND_VM_LIKELY_NEXT()" likely[name]
    print "#undef ZEND_VM_HANDLER_NAME\n#define ZEND_VM_HANDLER_NAME \"" name "\""
}

{ print }

/^typedef ZEND_OPCODE_HANDLER_RET \(ZEND_FASTCALL \*opcode_handler_t\)/ {
    for (i = 1; i <= called_count; i++) print "static ZEND_OPCODE_HANDLER_RET ZEND_FASTCALL " called[i] "(ZEND_OPCODE_HANDLER_ARGS);"
}

is_helper && /^}/ {
    is_helper = 0
    for (i = 1; i <= 4; i++) print "#pragma pop_macro(\"" changed(i) "\")"
}

END {
    for (name in unknown) {
        print "tail-calls.awk: likely-next.txt names " name ", which is no handler" > "/dev/stderr"
        failed = 1
    }
    print "#ifdef PHP_WASI_COUNT\nstatic const struct count_handler count_handlers[] = {"
    for (i = 1; i <= handler_count; i++) print "\t{ \"" handlers[i] "\", (const void *) " handlers[i] " },"
    print "\t{ NULL, NULL }\n};\n#endif"
    exit failed
}

function changed(i) {
    return i == 1 ? "ZEND_VM_CONTINUE" : i == 2 ? "ZEND_VM_INTERRUPT" : i == 3 ? "ZEND_VM_EXCEPTION" : "ZEND_VM_TAIL_CALL"
}
