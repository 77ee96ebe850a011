<?php
/**
 * Plugin Name: WCGI
 * Description: What WordPress cannot find out by itself about the server it runs on.
 */

// Paths that name no file reach index.php, as with Apache's mod_rewrite: permalinks need no /index.php before them.
add_filter( 'got_url_rewrite', '__return_true' );

// A new site has them from the start, WordPress's own. It would only use them after it has asked itself over HTTP.
add_action(
	'wp_install',
	function () {
		global $wp_rewrite;
		if ( ! get_option( 'permalink_structure' ) ) {
			$wp_rewrite->set_permalink_structure( '/%year%/%monthnum%/%day%/%postname%/' );
			$wp_rewrite->flush_rules( false );
		}
	}
);

// There is no way to send mail from here; say so before all of it is prepared.
add_filter( 'pre_wp_mail', '__return_false' );

// News of WordPress would have to be fetched from elsewhere.
add_action(
	'wp_dashboard_setup',
	function () {
		remove_meta_box( 'dashboard_primary', 'dashboard', 'side' );
	}
);
