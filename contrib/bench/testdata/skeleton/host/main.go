// Command host starts the program in its first argument twice, as halo's core
// starts plugins, says so in a line, and waits for the end of its input.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/halo-ha/halo/contrib/bench/testdata/skeleton"
)

func main() {
	defer plugin.CleanupClients()
	for range 2 {
		client := plugin.NewClient(&plugin.ClientConfig{
			HandshakeConfig: skeleton.Handshake(), Plugins: skeleton.Plugins(), Managed: true, AutoMTLS: true, Logger: hclog.NewNullLogger(),
			Cmd: exec.Command(os.Args[1]), AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, //nolint:gosec,noctx // It is ours, and ends with CleanupClients.
		})
		protocol, err := client.Client()
		if err == nil {
			_, err = protocol.Dispense("nothing")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}
