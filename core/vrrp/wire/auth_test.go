package wire_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/vrrp/wire"
)

func TestNewPassword(t *testing.T) {
	for _, s := range []string{"", "123456789"} {
		if _, err := wire.NewPassword(s); err == nil {
			t.Errorf("accepted a password of %d bytes", len(s))
		}
	}
	p, err := wire.NewPassword("abc")
	if err != nil {
		t.Fatal(err)
	}
	if want := (wire.Password{'a', 'b', 'c'}); p != want {
		t.Error("not padded with zeros behind the word")
	}
	if _, err := wire.NewPassword("12345678"); err != nil {
		t.Errorf("refused eight bytes: %v", err)
	}
}

func TestPasswordIsNeverPrinted(t *testing.T) {
	const secret = "hunter2!"
	a := wire.Advertisement{Version: wire.V2, VRID: 1, Interval: time.Second, Auth: pass(secret), Addresses: addrs("192.0.2.10")}
	var all strings.Builder
	header := a
	header.Auth.Type = wire.AuthHeader
	packet, err := header.AppendAH(nil, netip.MustParseAddr("192.0.2.1"), wire.GroupIPv4(), 255, 1)
	if err != nil {
		t.Fatal(err)
	}
	all.Write(packet)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		fmt.Fprintf(&all, verb, a.Auth)
		fmt.Fprintf(&all, verb, a.Auth.Password)
		fmt.Fprintf(&all, verb, &a)
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	all.Write(text)
	for _, leak := range []string{secret, fmt.Sprintf("%x", secret), "104 117 110", "0x68, 0x75"} {
		if strings.Contains(all.String(), leak) {
			t.Errorf("%q leaks: %s", leak, all.String())
		}
	}
	if got := a.String(); !strings.Contains(got, "auth pass") {
		t.Errorf("String() = %q does not name the type", got)
	}
}

func TestAuthTypeWords(t *testing.T) {
	for typ, want := range map[wire.AuthType]string{0: "none", 1: "pass", 2: "ah", 7: "type 7"} {
		if got := typ.String(); got != want {
			t.Errorf("%d is called %q, want %q", uint8(typ), got, want)
		}
	}
}
