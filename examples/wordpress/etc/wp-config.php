<?php
/**
 * The settings of WordPress. app/wp-config.php includes this file, which lies outside of the document root.
 *
 * What a site has of its own lies in two writable mounts: the data base in /db, pictures in wp-content/uploads.
 * The keys and salts of cookies are not here: WordPress makes them once for each installation and keeps them in the
 * data base. The code is read-only and cannot reach the network.
 */

// The requests of the manifest's `warmup` are answered ahead of all others, so that what they run is compiled. The mounts are not
// there then: the first of them makes a site in /tmp, which is gone afterwards, and the others are answered from that.
$wcgi_warms_up = false !== getenv( 'WCGI_WARMUP' );

if ( ! is_dir( '/db' ) ) {
	http_response_code( 500 );
	exit( 'No directory for the data base is mounted at /db; start with: wcgi run examples/wordpress --mapdir /db:./db' );
}

// SQLite in place of MySQL; wp-content/db.php sees to it. These four only have to be there.
define( 'DB_NAME', 'wordpress' );
define( 'DB_USER', '' );
define( 'DB_PASSWORD', '' );
define( 'DB_HOST', '' );
define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );
define( 'DB_DIR', $wcgi_warms_up ? '/tmp/' : '/db/' );
define( 'DB_FILE', 'wordpress.sqlite' );
$table_prefix = 'wp_';
if ( $wcgi_warms_up && ! file_exists( DB_DIR . DB_FILE ) ) {
	define( 'WP_INSTALLING', true );
}

// The stock php-cgi finalizes no PDO statement, and SQLite keeps its lock as long as one has not been read to its end.
class WCGI_Statement extends PDOStatement {
	public function __destruct() {
		$this->closeCursor();
	}
}
$GLOBALS['@pdo'] = new PDO(
	'sqlite:' . DB_DIR . DB_FILE,
	null,
	null,
	array(
		PDO::ATTR_ERRMODE           => PDO::ERRMODE_EXCEPTION,
		PDO::ATTR_STRINGIFY_FETCHES => true,
		PDO::ATTR_TIMEOUT           => 10,
		PDO::ATTR_STATEMENT_CLASS   => array( 'WCGI_Statement' ),
	)
);

// Where the site is: what the request says, unless --env WP_HOME=https://example.org/blog does. The prefix that the
// package is mounted at is what SCRIPT_NAME has before the path of the script.
$wcgi_home = getenv( 'WP_HOME' );
if ( ! $wcgi_home ) {
	$wcgi_script = substr( $_SERVER['SCRIPT_FILENAME'], strlen( $_SERVER['DOCUMENT_ROOT'] ) );
	$wcgi_prefix = substr( $_SERVER['SCRIPT_NAME'], 0, -strlen( $wcgi_script ) );
	$wcgi_scheme = empty( $_SERVER['HTTPS'] ) || 'off' === $_SERVER['HTTPS'] ? 'http' : 'https';
	$wcgi_host   = isset( $_SERVER['HTTP_HOST'] ) ? $_SERVER['HTTP_HOST'] : $_SERVER['SERVER_NAME'];
	$wcgi_home   = $wcgi_scheme . '://' . $wcgi_host . $wcgi_prefix;
}
define( 'WP_HOME', $wcgi_home );
define( 'WP_SITEURL', $wcgi_home );

define( 'WPMU_PLUGIN_DIR', __DIR__ . '/mu-plugins' );
define( 'DISALLOW_FILE_MODS', true );
define( 'AUTOMATIC_UPDATER_DISABLED', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );
// WordPress would ask itself over HTTP to run what is due. Request /wp-cron.php from time to time instead.
define( 'DISABLE_WP_CRON', true );
// One static file each is cheaper than a PHP page that joins them.
define( 'CONCATENATE_SCRIPTS', false );
define( 'WP_DEBUG', (bool) getenv( 'WP_DEBUG' ) );
define( 'WP_DEBUG_DISPLAY', false );

if ( ! defined( 'ABSPATH' ) ) {
	define( 'ABSPATH', '/app/' );
}
require_once ABSPATH . 'wp-settings.php';

if ( $wcgi_warms_up && wp_installing() ) {
	require_once ABSPATH . 'wp-admin/includes/upgrade.php';
	wp_install( 'Warm-up', 'warm-up', 'warm-up@example.org', false, '', bin2hex( random_bytes( 16 ) ) );
	exit;
}
