// Package skeleton is what an empty host and an empty plugin of go-plugin share.
// The bench measures them beside halo: no program of these parts takes less
// memory, whatever it does.
package skeleton

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

type nothing struct{ plugin.Plugin }

func (nothing) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (nothing) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// Handshake is how the two know each other.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "SKELETON", MagicCookieValue: "1"}
}

// Plugins is one that does nothing.
func Plugins() plugin.PluginSet { return plugin.PluginSet{"nothing": nothing{}} }
