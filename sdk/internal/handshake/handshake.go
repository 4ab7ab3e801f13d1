// Package handshake holds what the two ends must agree on before they can
// talk: go-plugin's cookie, the protocol version, the names of environment
// variables. It does nothing by itself; sdk and sdk/host read it.
package handshake

import "github.com/hashicorp/go-plugin"

const (
	// Name is the one plugin that go-plugin serves and dispenses.
	Name = "halo"
	// Version is the protocol: the number in the protobuf package's name.
	Version = 1
	// LifelineEnv names the variable that holds the number of the descriptor
	// whose end of file means that the host is gone.
	LifelineEnv = "HALO_PLUGIN_LIFELINE_FD"
	// LogLevelEnv names the variable that holds the lowest level to log.
	LogLevelEnv = "HALO_PLUGIN_LOG_LEVEL"
	// CookieEnv names the variable that holds the cookie.
	CookieEnv = "HALO_PLUGIN_MAGIC_COOKIE"
	// Cookie is fixed for all time: another value would lock out every plugin
	// there is, and it guards nothing.
	Cookie = "5f1b0d7c9e3a48f6b2c4d6e8fa0b1c3d5e7f9a1b3c5d7e9fa1b2c3d4e5f60718"
)

// Config is go-plugin's view of it.
func Config() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  Version,
		MagicCookieKey:   CookieEnv,
		MagicCookieValue: Cookie,
	}
}
