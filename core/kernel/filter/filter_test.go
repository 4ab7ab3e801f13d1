package filter

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// bench is a machine on its own whose packet filter is looked at with nft, which
// is the reading of somebody else.
type bench struct {
	*testing.T
	*kerneltest.Namespace
	table *Table
}

func newBench(t *testing.T) *bench {
	t.Helper()
	kerneltest.RequireTool(t, "nft")
	return &bench{T: t, Namespace: kerneltest.NewNamespace(t, "filter"), table: New()}
}

func (b *bench) apply(w Wanted) (changed bool) {
	b.T.Helper()
	changed, err := b.try(w)
	if err != nil {
		b.T.Fatal(err)
	}
	return changed
}

func (b *bench) try(w Wanted) (changed bool, err error) {
	err = b.Do(func() (err error) { changed, err = b.table.Apply(w); return err })
	return changed, err
}

func (b *bench) nft(args ...string) string {
	b.T.Helper()
	out, err := b.Output("nft", args...)
	if err != nil {
		b.T.Fatalf("nft %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func addresses(list ...string) []netip.Addr {
	all := make([]netip.Addr, len(list))
	for i, a := range list {
		all[i] = netip.MustParseAddr(a)
	}
	return all
}

func service(p Protocol, s string) Service { return Service{p, netip.MustParseAddrPort(s)} }

var everything = Wanted{
	Silent: []string{"vrrp6.51", "vrrp.51"},
	Closed: addresses("192.0.2.11", "2001:db8::10", "192.0.2.10"),
	Open:   []Service{service(UDP, "192.0.2.10:53"), service(TCP, "[2001:db8::10]:443"), service(TCP, "192.0.2.99:80")},
}

// everythingShown is what nft shows of it, without the comments.
const everythingShown = `table inet halo {
	set silent {
		type ifname
		elements = { "vrrp.51",
			     "vrrp6.51" }
	}

	set closed4 {
		type ipv4_addr
		elements = { 192.0.2.10, 192.0.2.11 }
	}

	set open4 {
		type ipv4_addr . inet_proto . inet_service
		elements = { 192.0.2.10 . udp . 53 }
	}

	set closed6 {
		type ipv6_addr
		elements = { 2001:db8::10 }
	}

	set open6 {
		type ipv6_addr . inet_proto . inet_service
		elements = { 2001:db8::10 . tcp . 443 }
	}

	chain reports {
		type filter hook output priority filter; policy accept;
		oifname @silent meta l4proto igmp drop
		oifname @silent icmpv6 type mld-listener-report drop
		oifname @silent icmpv6 type mld-listener-done drop
		oifname @silent icmpv6 type mld2-listener-report drop
	}

	chain closed {
		type filter hook input priority 101; policy accept;
		ip daddr . meta l4proto . th dport @open4 return
		ip daddr @closed4 drop
		icmpv6 type nd-neighbor-solicit return
		icmpv6 type nd-neighbor-advert return
		ip6 daddr . meta l4proto . th dport @open6 return
		ip6 daddr @closed6 drop
	}
}
`

func TestTableAsAnIndependentReaderSeesIt(t *testing.T) {
	b := newBench(t)
	if !b.apply(everything) {
		t.Error("nothing was changed")
	}
	var shown strings.Builder
	for line := range strings.Lines(b.nft("list", "table", "inet", "halo")) {
		line, comment, commented := strings.Cut(strings.TrimSuffix(line, "\n"), ` comment "`)
		if commented && !strings.HasPrefix(comment, mark) {
			t.Errorf("a comment is %q", comment)
		}
		shown.WriteString(line + "\n")
	}
	if shown.String() != everythingShown {
		t.Errorf("nft shows\n%s\nwant\n%s", shown.String(), everythingShown)
	}
}

// The kernel counts what is done to its rules: an unchanged table is not touched.
func TestApplyTwiceChangesNothing(t *testing.T) {
	b := newBench(t)
	b.apply(everything)
	before := b.nft("-a", "list", "ruleset")
	b.table = New() // As after kill -9.
	if b.apply(everything) {
		t.Error("something was changed")
	}
	if after := b.nft("-a", "list", "ruleset"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// Whatever somebody does to the table is undone.
func TestTheTableIsRepaired(t *testing.T) {
	b := newBench(t)
	b.apply(everything)
	good := b.nft("list", "ruleset")
	for _, harm := range [][]string{
		{"flush", "ruleset"},
		{"flush", "table", "inet", "halo"},
		{"flush", "chain", "inet", "halo", "reports"},
		{"delete", "element", "inet", "halo", "closed4", "{ 192.0.2.10 }"},
		{"add", "element", "inet", "halo", "closed6", "{ 2001:db8::99 }"},
		{"add", "rule", "inet", "halo", "closed", "accept"},
		{"insert", "rule", "inet", "halo", "closed", "accept"},
		{"add", "chain", "inet", "halo", "mine"},
		{"add", "chain", "inet", "halo", "reports", "{ policy drop; }"},
		{"add", "set", "inet", "halo", "mine", "{ type ipv4_addr; }"},
	} {
		b.nft(harm...)
		changed, err := b.try(everything)
		if err != nil || !changed {
			t.Errorf("after nft %s: changed %v, %v", strings.Join(harm, " "), changed, err)
		}
		if now := b.nft("list", "ruleset"); now != good {
			t.Errorf("after nft %s:\n%s\nwant\n%s", strings.Join(harm, " "), now, good)
		}
	}
}

func TestTablesOfOthersAreNotTouched(t *testing.T) {
	b := newBench(t)
	b.nft("add", "table", "inet", "filter")
	b.nft("add", "chain", "inet", "filter", "input", "{ type filter hook input priority 0; }")
	b.nft("add", "rule", "inet", "filter", "input", "tcp", "dport", "22", "accept")
	b.nft("add", "table", "ip", "halo")
	others := b.nft("list", "ruleset")
	b.apply(everything)
	b.apply(Wanted{Silent: []string{"vrrp.51"}})
	b.apply(Wanted{})
	if now := b.nft("list", "ruleset"); now != others {
		t.Errorf("others had\n%s\nand have\n%s", others, now)
	}
	// One that has the name, and is not halo's.
	b.nft("add", "table", "inet", "halo")
	b.nft("add", "chain", "inet", "halo", "mine")
	b.nft("add", "rule", "inet", "halo", "mine", "accept")
	others = b.nft("list", "ruleset")
	for _, w := range []Wanted{everything, {}} {
		if _, err := b.try(w); !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "table inet halo") {
			t.Errorf("with somebody else's table: %v, want EEXIST", err)
		}
	}
	if now := b.nft("list", "ruleset"); now != others {
		t.Errorf("others had\n%s\nand have\n%s", others, now)
	}
}

func TestOnlyWhatIsNeededIsThere(t *testing.T) {
	b := newBench(t)
	if b.apply(Wanted{}) || b.nft("list", "ruleset") != "" {
		t.Error("nothing was wanted, and something is there")
	}
	for _, row := range []struct {
		wanted       Wanted
		there, other string
	}{
		{Wanted{Silent: []string{"vrrp.51"}}, "chain reports", "chain closed"},
		{Wanted{Closed: addresses("192.0.2.10")}, "set closed4", "6 {"},
		{Wanted{Closed: addresses("2001:db8::10")}, "set closed6", "4 {"},
		{Wanted{Open: []Service{service(TCP, "192.0.2.10:80")}}, "", "table"},
	} {
		b.apply(row.wanted)
		if now := b.nft("list", "ruleset"); !strings.Contains(now, row.there) || strings.Contains(now, row.other) {
			t.Errorf("%+v:\n%s", row.wanted, now)
		}
	}
}

// A table of a thousand addresses is one transaction.
func TestManyAddresses(t *testing.T) {
	b := newBench(t)
	var w Wanted
	for i := range 1000 {
		w.Closed = append(w.Closed, netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}))
	}
	b.apply(w)
	b.nft("delete", "element", "inet", "halo", "closed4", "{ 198.18.3.231 }")
	if !b.apply(w) || b.apply(w) {
		t.Error("the missing one was not noticed, or one was that is not missing")
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		err  error
		want string
	}{
		{unix.EPERM, "CAP_NET_ADMIN"},
		{unix.EOPNOTSUPP, "modprobe nf_tables"},
		{unix.EINVAL, "CONFIG_NF_TABLES_INET"},
		{unix.ENOBUFS, unix.ENOBUFS.Error()},
	} {
		if err := explain(row.err); !errors.Is(err, row.err) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%v is explained as %q", row.err, err)
		}
	}
}
