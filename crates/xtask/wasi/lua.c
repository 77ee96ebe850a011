/* The Lua interpreter for CGI: `lua FILE [ARGUMENT...]`. Lua's own lua.c is for terminals. */
#include <stdio.h>
#include <stdlib.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

/* What longjmp throws: the C library has its code, but leaves the tag to the program. */
__asm__(".globl __c_longjmp\n.tagtype __c_longjmp i32\n__c_longjmp:\n");

static int add_traceback(lua_State *L) {
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE [ARGUMENT...]\n", argc ? argv[0] : "lua");
        return EXIT_FAILURE;
    }
    lua_State *L = luaL_newstate();
    if (!L) {
        fputs("out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    luaL_openlibs(L);
    lua_createtable(L, argc, 0);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - 1);
    }
    lua_setglobal(L, "arg");
    lua_pushcfunction(L, add_traceback);
    if (luaL_loadfile(L, argv[1]) != LUA_OK || lua_pcall(L, 0, 0, 1) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return EXIT_FAILURE;
    }
    lua_close(L); /* flushes and closes what is open */
    return EXIT_SUCCESS;
}
