package balancing

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest/lab"
)

// An address that is not accepted for is balanced all the same: to other machines,
// by all ways, and to this one. What is no service of it is dropped.
//
//nolint:paralleltest // The guest has two processors.
func TestClosedAddressIsBalanced(t *testing.T) {
	for _, forward := range forwards {
		for _, more := range []string{"", "vmac = true\n"} {
			t.Run(strings.TrimSpace(forward+" "+more), func(t *testing.T) {
				s := newSite(t, forward)
				local := &server{t: t, name: "lb", host: s.lb, address: "192.0.2.1:80"}
				s.servers["lb"] = local
				local.up()
				t.Cleanup(local.down)
				file := func(accept string, servers ...string) string {
					own := strings.TrimSpace(instance) + "\n" + more + "accept = " + accept + "\n\n"
					return own + s.web("check = ["+quick+"]", servers...)
				}
				s.halo = s.lb.Halo(file("false", "w1", "w2"))
				s.halo.WaitState(t, "VI_1", "active")
				s.waitTable("both serve", map[string]int{"w1": 1, "w2": 1})
				if got := s.answers(4); got["w1"] != 2 || got["w2"] != 2 {
					t.Errorf("of 4 requests to an address that is not accepted for %v, want 2 at each", got)
				}
				l, err := s.lb.Listen("tcp", "0.0.0.0:81")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				if s.reaches(vip + ":81") {
					t.Error("a port of the closed address that nothing balances is reached")
				}
				if !s.reaches("192.0.2.1:81") {
					t.Error("the machine's own address is not reached")
				}
				if forward == "dr" {
					s.halo.MustReload(t, file("false", "lb"))
					s.waitTable("this machine serves", map[string]int{"lb": 1})
					if got := s.answers(2); got["lb"] != 2 {
						t.Errorf("of 2 requests %v, want both here", got)
					}
				}
				s.halo.MustReload(t, file("true", "w1"))
				lab.Eventually(t, "the open address is reached", func() bool { return s.reaches(vip + ":81") })
			})
		}
	}
}

// reaches tells whether the client can connect.
func (s *site) reaches(address string) bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
	defer cancel()
	c, err := s.client.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = c.(*net.TCPConn).Close()
	return true
}
