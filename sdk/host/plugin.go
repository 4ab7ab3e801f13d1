package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/halo-ha/halo/sdk/internal/handshake"
)

// Name is the one name to dispense: rpc.Dispense(host.Name).
const Name = handshake.Name

// Protocols lists the protocol versions this host speaks, highest first.
func Protocols() []int { return []int{handshake.Version} }

// Handshake is what host and plugin must agree on before anything else. The
// cookie keeps a person who runs a plugin by hand from waiting for nothing; it
// protects nothing.
func Handshake() plugin.HandshakeConfig { return handshake.Config() }

// PluginSet is for plugin.ClientConfig.VersionedPlugins.
func PluginSet() map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{
		handshake.Version: {Name: &grpcPlugin{}},
	}
}

// grpcPlugin gives go-plugin's client a Client of ours for its connection.
type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin
}

// GRPCServer is the plugin's half, which a host never serves.
func (*grpcPlugin) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("a host serves no plugin")
}

// GRPCClient makes what Dispense returns.
func (*grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return OverConn(conn), nil
}

// NewClient turns what go-plugin's Dispense(host.Name) returned into a Client.
func NewClient(dispensed any) (*Client, error) {
	c, ok := dispensed.(*Client)
	if !ok {
		return nil, fmt.Errorf("dispense %s: got a %T, not a halo plugin", Name, dispensed)
	}
	return c, nil
}
