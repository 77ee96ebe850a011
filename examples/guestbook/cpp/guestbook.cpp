// A guest book: a CGI program. The request comes in environment variables and on standard input, the answer goes to standard
// output. Entries are lines of a file, each URL-encoded like the form that was sent.
#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace {

constexpr std::size_t max_body = 16 * 1024, max_name = 100, max_message = 1000;
constexpr const char* book_file = "/data/entries.txt";

struct Entry {
    std::size_t id;
    std::string name, message;
};

struct Answer {
    std::string_view status;
    std::string json, html;
    std::string headers = "";
};

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
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

constexpr std::string_view hex_digits = "0123456789ABCDEF";

std::string json_string(std::string_view text) {
    std::string quoted = "\"";
    for (unsigned char c : text) {
        if (c == '"' || c == '\\') {
            quoted += '\\';
            quoted += static_cast<char>(c);
        } else if (c < ' ') {
            quoted += "\\u00";
            quoted += hex_digits[c / 16];
            quoted += hex_digits[c % 16];
        } else {
            quoted += static_cast<char>(c);
        }
    }
    return quoted + '"';
}

// Percent-encodes all but unreserved characters and those in `safe`.
std::string url_encode(std::string_view text, std::string_view safe = "") {
    std::string encoded;
    for (unsigned char c : text) {
        if (std::isalnum(c) || std::string_view("-._~").contains(c) || safe.contains(c)) {
            encoded += static_cast<char>(c);
        } else {
            encoded += '%';
            encoded += hex_digits[c / 16];
            encoded += hex_digits[c % 16];
        }
    }
    return encoded;
}

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

std::string trim(std::string_view text) {
    constexpr std::string_view white = " \t\r\n\f\v";
    text.remove_prefix(std::min(text.find_first_not_of(white), text.size()));
    return std::string(text.substr(0, text.find_last_not_of(white) + 1));
}

// The decoded value of `name` in pairs as `name=value&…`, or "".
std::string find_value(std::string_view pairs, char separator, std::string_view name) {
    while (!pairs.empty()) {
        std::string_view pair = pairs.substr(0, pairs.find(separator));
        pairs.remove_prefix(std::min(pair.size() + 1, pairs.size()));
        pair.remove_prefix(std::min(pair.find_first_not_of(' '), pair.size()));
        if (pair.starts_with(name) && pair.substr(name.size()).starts_with('='))
            return url_decode(pair.substr(name.size() + 1));
    }
    return "";
}

// How many characters the text has; nothing if it is not UTF-8.
std::optional<std::size_t> count_characters(std::string_view text) {
    std::mbstate_t state{};
    std::size_t count = 0;
    for (; !text.empty(); count++) {
        std::size_t length = std::mbrlen(text.data(), text.size(), &state);
        if (length > text.size()) return std::nullopt;
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return count;
}

std::string base() {
    return url_encode(variable("SCRIPT_NAME"), "/") + "/";
}

std::string page(std::string_view title, std::string_view content) {
    std::string page = "<!doctype html>\n<html lang=\"en\">\n<title>";
    return page.append(title).append("</title>\n<h1>").append(title).append("</h1>\n").append(content);
}

Answer error(std::string_view status, std::string_view reason, std::string headers = "") {
    std::string html = page(status.substr(4), "<p>" + html_escape(reason) + "</p>\n");
    return {status, "{\"error\":" + json_string(reason) + "}\n", html, headers};
}

Answer internal_error() {
    std::perror(book_file);
    return error("500 Internal Server Error", "the guest book is out of order");
}

// Reads to the end, or until there is more than `limit`.
std::string read(std::FILE* file, std::size_t limit) {
    std::string text;
    char buffer[4096];
    while (text.size() <= limit) {
        std::size_t length = std::fread(buffer, 1, sizeof buffer, file);
        if (length == 0) break;
        text.append(buffer, length);
    }
    return text;
}

// All entries, none while nobody has written into the book; nothing if it cannot be read.
std::optional<std::vector<Entry>> read_book() {
    std::vector<Entry> entries;
    std::unique_ptr<std::FILE, decltype(&std::fclose)> book(std::fopen(book_file, "r"), &std::fclose);
    if (!book) return errno == ENOENT ? std::optional(entries) : std::nullopt;
    std::string text = read(book.get(), std::string::npos);
    if (std::ferror(book.get())) return std::nullopt;
    for (std::string_view rest = text; !rest.empty();) {
        std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        entries.push_back({entries.size() + 1, find_value(line, '&', "name"), find_value(line, '&', "message")});
    }
    return entries;
}

// One write at the end of the file: entries of others who sign at the same time come before or after it.
bool append(const std::string& line) {
    int book = open(book_file, O_WRONLY | O_APPEND | O_CREAT, 0666);
    return book >= 0 && write(book, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && close(book) == 0;
}

std::string to_json(const Entry& entry) {
    return "{\"id\":" + std::to_string(entry.id) + ",\"name\":" + json_string(entry.name) +
           ",\"message\":" + json_string(entry.message) + "}";
}

std::string to_html(const Entry& entry) {
    return "<li id=\"entry-" + std::to_string(entry.id) + "\"><strong>" + html_escape(entry.name) +
           "</strong>: " + html_escape(entry.message) + "</li>\n";
}

Answer show_all() {
    auto entries = read_book();
    if (!entries) return internal_error();

    std::string json, items;
    for (const Entry& entry : *entries) {
        json += (json.empty() ? "" : ",") + to_json(entry);
        items += to_html(entry);
    }
    std::string name = html_escape(find_value(variable("HTTP_COOKIE"), ';', "name"));
    std::string form = "<form method=\"post\" action=\"" + base() + "\">\n<p><label>Name <input name=\"name\" value=\"" + name +
                       "\" maxlength=\"100\" required></label></p>\n"
                       "<p><label>Message <textarea name=\"message\" maxlength=\"1000\" required></textarea></label></p>\n"
                       "<p><button>Sign</button></p>\n</form>\n";
    return {"200 OK", "{\"entries\":[" + json + "]}\n", page("Guest book", "<ul>\n" + items + "</ul>\n" + form)};
}

Answer show_one(std::string_view number) {
    std::size_t id = 0;
    auto [end, failure] = std::from_chars(number.begin(), number.end(), id);
    if (end != number.end() || failure != std::errc()) return error("404 Not Found", "there is no such entry");

    auto entries = read_book();
    if (!entries) return internal_error();
    if (id < 1 || id > entries->size()) return error("404 Not Found", "there is no entry " + std::to_string(id));
    const Entry& entry = (*entries)[id - 1];
    std::string html = "<ul>\n" + to_html(entry) + "</ul>\n<p><a href=\"" + base() + "\">All entries</a></p>\n";
    return {"200 OK", to_json(entry) + "\n", page("Guest book", html)};
}

bool is_form(std::string_view type) {
    std::string name = trim(type.substr(0, type.find(';')));
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
    return name == "application/x-www-form-urlencoded";
}

Answer sign() {
    if (!is_form(variable("CONTENT_TYPE"))) return error("415 Unsupported Media Type", "send a form, URL-encoded");
    std::string body = read(stdin, max_body);
    if (body.size() > max_body) return error("413 Content Too Large", "that is too much for a guest book");

    std::string name = trim(find_value(body, '&', "name")), message = trim(find_value(body, '&', "message"));
    auto name_length = count_characters(name), message_length = count_characters(message);
    if (!name_length || *name_length < 1 || *name_length > max_name)
        return error("400 Bad Request", "the name must be text of 1 to 100 characters");
    if (!message_length || *message_length < 1 || *message_length > max_message)
        return error("400 Bad Request", "the message must be text of 1 to 1000 characters");

    if (!append("name=" + url_encode(name) + "&message=" + url_encode(message) + "\n")) return internal_error();
    return {"303 See Other", "{}\n", page("Thank you", "<p><a href=\"" + base() + "\">All entries</a></p>\n"),
            "Location: " + base() + "\nSet-Cookie: name=" + url_encode(name) + "; Path=" + base() +
                "; HttpOnly; SameSite=Lax\n"};
}

Answer answer(std::string_view method, std::string_view path) {
    constexpr std::string_view entries = "/entries/";
    bool reads = method == "GET" || method == "HEAD";
    if (path.empty() || path == "/") {
        if (reads) return show_all();
        if (method == "POST") return sign();
        return error("405 Method Not Allowed", "the book is to be read and signed", "Allow: GET, HEAD, POST\n");
    }
    if (path.starts_with(entries)) {
        if (reads) return show_one(path.substr(entries.size()));
        return error("405 Method Not Allowed", "an entry can only be read", "Allow: GET, HEAD\n");
    }
    return error("404 Not Found", "there is nothing here");
}

}  // namespace

int main() {
    std::setlocale(LC_CTYPE, "C.UTF-8");
    auto [status, json, html, headers] = answer(variable("REQUEST_METHOD"), variable("PATH_INFO"));
    bool wants_json = variable("HTTP_ACCEPT").contains("application/json");
    std::string output = "Status: " + std::string(status) + "\nVary: Accept\n" + headers + "Content-Type: ";
    output += wants_json ? "application/json\n\n" + json : "text/html; charset=utf-8\n\n" + html;
    return std::fwrite(output.data(), 1, output.size(), stdout) == output.size() ? EXIT_SUCCESS : EXIT_FAILURE;
}
