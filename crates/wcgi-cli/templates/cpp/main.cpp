// A CGI program: the request comes in environment variables and on standard input, the answer goes to standard output, head
// first.
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

std::string url_decode(std::string_view text) {
    std::string decoded;
    for (std::size_t i = 0; i < text.size(); i++) {
        unsigned char code;
        const char* digits = text.data() + i + 1;
        if (text[i] == '%' && i + 2 < text.size() && std::from_chars(digits, digits + 2, code, 16).ptr == digits + 2) {
            decoded += static_cast<char>(code);
            i += 2;
        } else {
            decoded += text[i] == '+' ? ' ' : text[i];
        }
    }
    return decoded;
}

// The decoded value of `name` in pairs as `name=value&…`, or "".
std::string find_value(std::string_view pairs, std::string_view name) {
    while (!pairs.empty()) {
        std::string_view pair = pairs.substr(0, pairs.find('&'));
        if (pair.starts_with(name) && pair.substr(name.size()).starts_with('='))
            return url_decode(pair.substr(name.size() + 1));
        pairs.remove_prefix(pair.size() < pairs.size() ? pair.size() + 1 : pair.size());
    }
    return "";
}

std::string html_escape(std::string_view text) {
    std::string escaped;
    for (char c : text) {
        switch (c) {
            case '&': escaped += "&amp;"; break;
            case '<': escaped += "&lt;"; break;
            case '>': escaped += "&gt;"; break;
            case '"': escaped += "&quot;"; break;
            case '\'': escaped += "&#39;"; break;
            default: escaped += c;
        }
    }
    return escaped;
}

int main() {
    const char* query = std::getenv("QUERY_STRING");
    std::string name = find_value(query ? query : "", "name");

    std::puts("Content-Type: text/html; charset=utf-8\n");
    std::puts("<!doctype html>\n<title>{{name}}</title>");
    std::printf("<h1>Hello, %s!</h1>\n", html_escape(name.empty() ? "World" : name).c_str());
}
