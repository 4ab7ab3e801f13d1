// Command plugin serves nothing, with everything that serving takes: go-plugin,
// gRPC, TLS. It is the least that a halo plugin can weigh.
package main

import (
	"github.com/hashicorp/go-plugin"

	"github.com/halo-ha/halo/contrib/bench/testdata/skeleton"
)

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: skeleton.Handshake(), Plugins: skeleton.Plugins(), GRPCServer: plugin.DefaultGRPCServer,
	})
}
