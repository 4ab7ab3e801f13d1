package host

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/halo-ha/halo/sdk/internal/convert"
	pb "github.com/halo-ha/halo/sdk/internal/proto/halo/plugin/v1"
	"github.com/halo-ha/halo/sdk/internal/session"
	"github.com/halo-ha/halo/sdk/schema"
)

// CallTimeout is the deadline of a call whose context has none that is
// shorter: no plugin can make its host wait for ever.
const CallTimeout = 5 * time.Second

// Client is one plugin process to talk to. It is safe for concurrent use.
//
// Every error means that the plugin did not answer as it should. A caller that
// gets one from a running session ends the process: a Client is never
// reconnected.
type Client struct {
	plugin pb.PluginServiceClient
	check  pb.CheckServiceClient
}

// OverConn makes a Client for a connection that somebody else set up: in a
// test, or to a plugin on a socket of its own.
func OverConn(conn grpc.ClientConnInterface) *Client {
	return &Client{
		plugin: pb.NewPluginServiceClient(conn),
		check:  pb.NewCheckServiceClient(conn),
	}
}

// limits holds both directions to the size the other end takes, whatever the
// connection's own limits are: go-plugin sets none.
func limits() []grpc.CallOption {
	return []grpc.CallOption{
		grpc.MaxCallRecvMsgSize(session.MaxMessage),
		grpc.MaxCallSendMsgSize(session.MaxMessage),
	}
}

// Describe asks the plugin what it is. The answer has passed
// schema.CheckPlugin; one that does not is an error that says what is wrong.
func (c *Client) Describe(ctx context.Context) (schema.Plugin, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	response, err := c.plugin.Describe(ctx, &pb.DescribeRequest{}, limits()...)
	if err != nil {
		return schema.Plugin{}, fmt.Errorf("describe: %w", err)
	}
	p := convert.FromDescribe(response)
	if problems := schema.CheckPlugin(p); len(problems) > 0 {
		return schema.Plugin{}, fmt.Errorf("describe: %w", &schema.SettingsError{Problems: problems})
	}
	return p, nil
}

// Validate asks the plugin about the settings of probes, 1,000 a call. No
// diagnostic that is not a warning means that it will run them.
func (c *Client) Validate(ctx context.Context, probes []Probe) ([]Diagnostic, error) {
	var all []Diagnostic
	for chunk := range chunks(probes) {
		found, err := c.validate(ctx, chunk)
		if err != nil {
			return nil, fmt.Errorf("validate %d probes: %w", len(chunk), err)
		}
		all = append(all, found...)
	}
	return all, nil
}

func (c *Client) validate(ctx context.Context, probes []Probe) ([]Diagnostic, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	response, err := c.plugin.Validate(ctx, &pb.ValidateRequest{Probes: convert.ToProbes(probes)}, limits()...)
	if err != nil {
		return nil, err
	}
	return convert.FromDiagnostics(response.GetDiagnostics()), nil
}

// Drain asks the plugin to start no more work and answers when what runs has
// ended and been reported, or at the deadline.
func (c *Client) Drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	if _, err := c.plugin.Drain(ctx, &pb.DrainRequest{}, limits()...); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// chunks cuts a list into what one message may hold.
func chunks[E any](list []E) func(yield func([]E) bool) {
	return func(yield func([]E) bool) {
		for len(list) > 0 {
			n := min(len(list), session.MaxChunk)
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}
