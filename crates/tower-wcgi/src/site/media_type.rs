//! Media types by a file's name, as browsers and nginx agree on them.
//!
//! In: the path of a file. Out: a media type, without a charset. Names for which the library has older or other types come
//! first. Pure functions: the file's content does not count.

/// The media type of the file at `path`.
pub(super) fn media_type(path: &str) -> &'static str {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name).to_ascii_lowercase();
    let by_name = NAMES.iter().find(|(known, _)| *known == name);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let by_extension = || EXTENSIONS.iter().find(|(known, _)| Some(*known) == extension);
    if let Some((_, media_type)) = by_name.or_else(by_extension) {
        return media_type;
    }
    match mime_guess::from_path(path).first_raw() {
        // RFC 9239 §6.
        Some("application/javascript") => "text/javascript",
        known => known.unwrap_or("application/octet-stream"),
    }
}

/// Files without an extension that programs request by a well-known name.
const NAMES: [(&str, &str); 5] = [
    ("apple-app-site-association", "application/json"),
    ("host-meta", "application/xrd+xml"),
    ("nodeinfo", "application/json"),
    ("oauth-authorization-server", "application/json"),
    ("openid-configuration", "application/json"),
];

/// Types that `mime_guess` lacks, or has in a form that nobody uses.
const EXTENSIONS: [(&str, &str); 30] = [
    ("3mf", "model/3mf"),
    ("avifs", "image/avif"),
    ("bz2", "application/x-bzip2"),
    ("cjs", "text/javascript"),
    ("ico", "image/x-icon"),
    ("jxl", "image/jxl"),
    ("m2ts", "video/mp2t"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    // ECMA-426: a source map.
    ("map", "application/json"),
    ("mjs", "text/javascript"),
    ("mts", "video/mp2t"),
    ("otf", "font/otf"),
    ("rb", "text/plain"),
    ("svgz", "image/svg+xml"),
    ("toml", "application/toml"),
    // A piece of a video, for nginx and for players. No browser requests TypeScript.
    ("ts", "video/mp2t"),
    ("tsx", "text/plain"),
    ("ttc", "font/collection"),
    ("ttf", "font/ttf"),
    ("usdz", "model/vnd.usdz+zip"),
    ("vcf", "text/vcard"),
    ("webapp", "application/x-web-app-manifest+json"),
    ("webmanifest", "application/manifest+json"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_types_that_browsers_expect() {
        for (path, expected) in [
            ("/site.webmanifest", "application/manifest+json"),
            ("/.well-known/apple-app-site-association", "application/json"),
            ("/apple-app-site-association", "application/json"),
            ("/.well-known/openid-configuration", "application/json"),
            ("/.well-known/assetlinks.json", "application/json"),
            ("/video/0001.ts", "video/mp2t"),
            ("/video/index.m3u8", "application/vnd.apple.mpegurl"),
            ("/app.js.map", "application/json"),
            ("/app.css.map", "application/json"),
            ("/app.js", "text/javascript"),
            ("/app.mjs", "text/javascript"),
            ("/app.MJS", "text/javascript"),
            ("/app.cjs", "text/javascript"),
            ("/logo.svg", "image/svg+xml"),
            ("/logo.svgz", "image/svg+xml"),
            ("/favicon.ico", "image/x-icon"),
            ("/photo.avif", "image/avif"),
            ("/photo.webp", "image/webp"),
            ("/photo.jxl", "image/jxl"),
            ("/font.woff", "font/woff"),
            ("/font.woff2", "font/woff2"),
            ("/font.ttf", "font/ttf"),
            ("/font.otf", "font/otf"),
            ("/font.eot", "application/vnd.ms-fontobject"),
            ("/lib.wasm", "application/wasm"),
            ("/a.m4a", "audio/mp4"),
            ("/a.opus", "audio/ogg"),
            ("/a.flac", "audio/flac"),
            ("/a.mp4", "video/mp4"),
            ("/a.webm", "video/webm"),
            ("/a.vtt", "text/vtt"),
            ("/scene.glb", "model/gltf-binary"),
            ("/feed.rss", "application/rss+xml"),
            ("/feed.atom", "application/atom+xml"),
            ("/data.geojson", "application/geo+json"),
            ("/data.yaml", "application/yaml"),
            ("/data.csv", "text/csv"),
            ("/readme.md", "text/markdown"),
            ("/ts", "application/octet-stream"),
            ("/.ts", "video/mp2t"),
            ("/a.unknown", "application/octet-stream"),
            ("/a.ts/b", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(media_type(path), expected, "{path}");
        }
    }

    #[test]
    fn the_tables_are_in_order() {
        assert!(NAMES.is_sorted() && EXTENSIONS.is_sorted());
    }
}
