// Command halo-check-redis is a halo plugin that is not part of halo: its own
// module, built on halo's SDK alone. It provides the check type "redis", which
// passes when a Redis server answers PING.
//
// README.md walks through it.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/schema"
)

// settings are the keys a person may write beside type = "redis".
type settings struct {
	Username string `halo:"username" doc:"The user to log in as (Redis 6 and later); needs a password."`
	Password string `halo:"password" doc:"The password to log in with; without one, PING is sent at once." sensitive:"true"`
	Expect   string `halo:"expect" doc:"The reply to PING that counts as good." default:"PONG"`
}

func main() { sdk.Serve(plugin()) }

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "halo-check-redis",
		Version: "1.0.0",
		Types:   []check.Type{check.New("redis", "Pass when a Redis server answers PING.", build)},
	}
}

// build is called for `halo check` and for every probe. What the tags cannot
// say, such as one setting needing another, is checked here.
func build(s settings) (check.Checker, error) {
	if s.Username != "" && s.Password == "" {
		return nil, schema.Invalid("username", "", "needs a password")
	}
	if s.Expect == "" {
		return nil, schema.Invalid("expect", "a reply such as PONG", "is empty")
	}
	return checker(s), nil
}

type checker settings

// Check is one probe; ctx ends at its timeout.
func (c checker) Check(ctx context.Context, t check.Target) check.Result {
	dialer := net.Dialer{}
	if t.Bind.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(t.Bind, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(t.Address, t.Port).String())
	if err != nil {
		return noReply(err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return noReply(err)
		}
	}
	server := bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))

	if c.Password != "" {
		login := []string{"AUTH", c.Password}
		if c.Username != "" {
			login = []string{"AUTH", c.Username, c.Password}
		}
		reply, err := ask(server, login...)
		if err != nil {
			return noReply(err)
		}
		if reply != "+OK" {
			return check.Failed(check.ReasonMismatch, "login: "+reply)
		}
	}
	reply, err := ask(server, "PING")
	if err != nil {
		return noReply(err)
	}
	if reply != "+"+c.Expect {
		return check.Failed(check.ReasonMismatch, "PING: "+reply)
	}
	return check.Passed("")
}

// noReply says why there is none. FromError knows which errors are the
// server's (fail) and which are this machine's (unknown).
func noReply(err error) check.Result {
	switch {
	case errors.Is(err, io.EOF):
		return check.Failed(check.ReasonProtocol, "closed without a reply")
	case errors.Is(err, bufio.ErrBufferFull):
		return check.Failed(check.ReasonProtocol, "the reply does not end")
	}
	return check.FromError(err)
}

// ask sends one command and returns the first line of the reply. The line is
// as long as the reader's buffer at most: a server under test may send anything.
func ask(server *bufio.ReadWriter, words ...string) (string, error) {
	fmt.Fprintf(server, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(server, "$%d\r\n%s\r\n", len(word), word)
	}
	if err := server.Flush(); err != nil {
		return "", err
	}
	line, err := server.ReadSlice('\n')
	return strings.TrimRight(string(line), "\r\n"), err
}
