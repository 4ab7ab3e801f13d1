package config

import (
	"fmt"
	"strings"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// numbered takes one of the kernel's numbers, by itself or by its name. The
// files in which iproute2 keeps further names are not read: they differ from
// machine to machine, and what halo.toml says does not.
type numbered[T ~uint8 | ~uint32] struct {
	names     []named[T]
	low, high T
	what      string // in messages: "a routing table"
}

type named[T any] struct {
	word   string
	number T
}

func (f numbered[T]) words() []string {
	list := make([]string, 0, len(f.names))
	for _, n := range f.names {
		list = append(list, n.word)
	}
	return list
}

func (f numbered[T]) expected() string {
	quoted := make([]string, 0, len(f.names))
	for _, word := range f.words() {
		quoted = append(quoted, fmt.Sprintf("%q", word))
	}
	return fmt.Sprintf("%s or an integer from %d to %d", strings.Join(quoted, ", "), uint32(f.low), uint32(f.high))
}

func (f numbered[T]) read(v value) (T, bool) {
	switch got := v.node.value.(type) {
	case string:
		for _, n := range f.names {
			if n.word == got {
				return n.number, true
			}
		}
		suggestion := integers[int64]{int64(f.low), int64(f.high)}.suggestion(got)
		if suggestion == "" {
			suggestion = suggest(got, f.words())
		}
		v.wrong(v.show()+" is not the name of "+f.what+" that halo knows", f.expected(), suggestion)
	case int64:
		if got >= int64(f.low) && got <= int64(f.high) {
			return T(got), true
		}
		v.wrong(v.show()+" is out of range", f.expected(), "")
	default:
		v.wrongType(f.expected(), "")
	}
	return 0, false
}

// scopes are how far addresses and routes reach.
func scopes() numbered[inet.Scope] {
	f := numbered[inet.Scope]{low: 0, high: 255, what: "a scope"}
	for _, s := range []inet.Scope{inet.ScopeGlobal, inet.ScopeSite, inet.ScopeLink, inet.ScopeHost, inet.ScopeNowhere} {
		f.names = append(f.names, named[inet.Scope]{s.String(), s})
	}
	return f
}
