/* curl: asks a server by libcurl as it is. `url` says for what, `ca` which authorities are believed; a body is sent on; with `n`, so many
 * requests are made at the same time. */
#include "guest.h"

#include <netdb.h>

#include <curl/curl.h>

static size_t keep(char *bytes, size_t size, size_t count, void *length) {
    *(size_t *)length += size * count;
    return is("quiet", "1") ? size * count : fwrite(bytes, size, count, stdout);
}

static CURL *transfer(size_t *length) {
    CURL *curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_URL, param("url"));
    if (param("ca")) curl_easy_setopt(curl, CURLOPT_CAINFO, param("ca"));
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, length);
    return curl;
}

static void tell(CURL *curl, CURLcode code, size_t length) {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code) printf("failed: %s\n", curl_easy_strerror(code));
    else printf("status %ld, %zu bytes\n", status, length);
}

int main(void) {
    const char *content_length = getenv("CONTENT_LENGTH");
    head("text/plain");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    long n = number("n", 1);
    size_t lengths[16] = {0};
    CURL *all[16];
    CURLM *multi = curl_multi_init();
    for (long i = 0; i < n && i < 16; i++) {
        all[i] = transfer(&lengths[i]);
        if (content_length && *content_length && strcmp(content_length, "0")) {
            curl_easy_setopt(all[i], CURLOPT_POST, 1L);
            curl_easy_setopt(all[i], CURLOPT_POSTFIELDSIZE, strtol(content_length, NULL, 10));
            curl_easy_setopt(all[i], CURLOPT_READFUNCTION, fread);
            curl_easy_setopt(all[i], CURLOPT_READDATA, stdin);
        }
        curl_multi_add_handle(multi, all[i]);
    }
    for (int left = 1; left;) {
        curl_multi_perform(multi, &left);
        if (left) curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    CURLMsg *message;
    for (int left; (message = curl_multi_info_read(multi, &left));) {
        for (long i = 0; i < n && i < 16; i++) {
            if (all[i] == message->easy_handle) tell(all[i], message->data.result, lengths[i]);
        }
    }
    return 0;
}
