package check_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
)

// greeting is a checker that waits for a server's first words.
type greeting struct {
	Expect string `halo:"expect" doc:"What the server says first." default:"220 "`
}

func (g greeting) Check(ctx context.Context, t check.Target) check.Result {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", netip.AddrPortFrom(t.Address, t.Port).String())
	if err != nil {
		return check.FromError(err) // Fail if it is the server's, unknown if it is ours.
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return check.FromError(err)
		}
	}
	said := make([]byte, len(g.Expect))
	if _, err := conn.Read(said); err != nil {
		return check.FromError(err)
	}
	if string(said) != g.Expect {
		return check.Failed(check.ReasonMismatch, string(said))
	}
	return check.Passed("")
}

func ExampleNew() {
	t := check.New("greeting", "Pass when the server greets.", func(g greeting) (check.Checker, error) {
		if g.Expect == "" {
			return nil, schema.Invalid("expect", "some text", "is empty")
		}
		return g, nil
	})
	for _, settings := range []string{`{}`, `{"expect": ""}`, `{"expct": "+OK"}`} {
		_, err := t.Build([]byte(settings))
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// settings: expect is empty (expected some text)
	// settings: expct is not known (expected one of expect); did you mean expect?
}
