package tcp

import (
	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
)

// Name is the plugin's file name.
const Name = "halo-check-tcp"

// Plugin is what cmd/halo-plugins serves under Name.
func Plugin() sdk.Plugin {
	return sdk.Plugin{Name: Name, Version: sdk.Version, Types: []check.Type{Type()}}
}
