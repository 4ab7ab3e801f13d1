package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/halo-ha/halo/core/control"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the daemon holds, serves and knows right now",
		Long: `Shows virtual routers, virtual servers, their real servers and checks, and the
plugins, as the daemon knows them at this moment. The answer is made when asked
for: a daemon that hangs yields an error, never old data.

Exit status: 0 answered, 4 daemon not reachable.`,
		Example: `  halo status
  halo status --json | jq '.vrrp_instances.VI_1.state'
  halo status --watch`,
		Args: exactly(0, "no argument"),
	}
	socket := socketFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, `print JSON (schema 1, stable)`)
	watch := cmd.Flags().BoolP("watch", "w", false, "show again every --every until interrupted")
	every := cmd.Flags().Duration("every", time.Second, "pause between two pictures of --watch")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *every < 100*time.Millisecond {
			return usageError{fmt.Errorf("--every %s: at least 100ms", *every)}
		}
		client := control.NewClient(*socket)
		if *watch {
			return watchStatus(cmd.Context(), cmd.OutOrStdout(), client, *every, *asJSON)
		}
		s, err := client.Status(cmd.Context())
		if err != nil {
			return err
		}
		return printStatus(cmd.OutOrStdout(), s, *asJSON)
	}
	return cmd
}

// watchStatus repaints until ctx ends. A daemon that goes away is shown as
// such, and shown again when it is back.
func watchStatus(ctx context.Context, w io.Writer, client *control.Client, every time.Duration, asJSON bool) error {
	const home, clearBelow = "\x1b[H", "\x1b[J"
	for {
		var page bytes.Buffer
		s, err := client.Status(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // being interrupted is how this ends
		}
		if err == nil {
			err = printStatus(&page, s, asJSON)
		}
		if err != nil {
			fmt.Fprintf(&page, "halo: %v\n", err)
		}
		text := page.String()
		if !asJSON {
			// Each line clears its own rest, so nothing flickers.
			text = home + strings.ReplaceAll(text, "\n", "\x1b[K\n") + clearBelow
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

func printStatus(w io.Writer, s control.Status, asJSON bool) error {
	if asJSON {
		return printJSON(w, s)
	}
	p := &printer{w: w}
	p.line("halo %s on %s: generation %d, up %s, %s", s.Version, s.RouterID, s.Generation, age(s.Time, s.Started), s.Config.File)
	if !s.Config.LastReloadOK {
		p.line("! the last reload (%s ago) was refused: %s", age(s.Time, s.Config.LastReload), s.Config.LastReloadNote)
	}
	for _, sentence := range s.Degraded {
		p.line("! %s", sentence)
	}
	if s.IPVS.InUse && s.IPVS.Error != "" {
		p.line("! ipvs: %s", s.IPVS.Error)
	}
	if n := s.Events.Dropped; n > 0 {
		p.line("! %d events of virtual routers were not recorded: too much happened at once", n)
	}
	if p.err != nil {
		return p.err
	}
	for _, section := range []func(io.Writer, control.Status) error{printInstances, printAdvertisements, printGroups, printStatic, printTrackers, printServices, printPlugins} {
		if err := section(w, s); err != nil {
			return err
		}
	}
	return nil
}

func printInstances(w io.Writer, s control.Status) error {
	if len(s.VRRPInstances) == 0 {
		return nil
	}
	p := columns(w)
	p.line("")
	p.line("VRRP INSTANCE\tSTATE\tFOR\tPRIORITY\tINTERFACE\tVRID\tPEER\tADDRESSES\tREASON")
	for _, name := range slices.Sorted(maps.Keys(s.VRRPInstances)) {
		v := s.VRRPInstances[name]
		peer := "-"
		if v.Peer != nil {
			peer = fmt.Sprintf("%s (%d)", v.Peer.Address, v.Peer.Priority)
		}
		p.line("%s\t%s\t%s\t%d\t%s\t%d\t%s\t%s\t%s", name, v.State, age(s.Time, v.Since), v.EffectivePriority,
			interfaceOf(v), v.VirtualRouterID, peer, addresses(v), reasonOf(v))
	}
	for _, name := range slices.Sorted(maps.Keys(s.VRRPInstances)) {
		if v := s.VRRPInstances[name]; v.State == "active" {
			printMissing(p, name, v.Entries)
		}
		for _, m := range s.VRRPInstances[name].Mismatches {
			p.line("! %s: %s", name, m)
		}
		for _, k := range s.VRRPInstances[name].Conflicts {
			p.line("! %s: %s is also claimed by %s (%d packets, the last %s ago): that machine has to give it up", name, k.Address, k.MAC, k.Packets, age(s.Time, k.Last))
		}
	}
	return p.done()
}

// printMissing says what should be there and is not, and why.
func printMissing(p *printer, name string, v control.Entries) {
	const most = 3
	var missing []string
	for _, a := range v.Addresses {
		if a.Present {
			continue
		}
		word := a.Address
		if a.Interface != "" {
			word += " on " + a.Interface
		}
		missing = append(missing, word)
	}
	for _, r := range v.Routes {
		if !r.Present {
			missing = append(missing, "route "+r.Entry)
		}
	}
	for _, r := range v.Rules {
		if !r.Present {
			missing = append(missing, "rule "+r.Entry)
		}
	}
	if len(missing) == 0 {
		return
	}
	text := strings.Join(missing[:min(most, len(missing))], ", ")
	if more := len(missing) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	why := v.EntryError
	if why == "" {
		why = "not put there yet"
	}
	p.line("! %s: missing %s: %s", name, text, why)
}

func printStatic(w io.Writer, s control.Status) error {
	if s.Static == nil {
		return nil
	}
	p := &printer{w: w}
	p.line("")
	p.line("STATIC  addresses %d, routes %d, rules %d", len(s.Static.Addresses), len(s.Static.Routes), len(s.Static.Rules))
	printMissing(p, "static", *s.Static)
	return p.err
}

func printGroups(w io.Writer, s control.Status) error {
	if len(s.VRRPSyncGroups) == 0 {
		return nil
	}
	p := columns(w)
	p.line("")
	p.line("VRRP SYNC GROUP\tSTATE\tFOR\tPRIORITY\tMEMBERS\tREASON")
	for _, name := range slices.Sorted(maps.Keys(s.VRRPSyncGroups)) {
		g := s.VRRPSyncGroups[name]
		p.line("%s\t%s\t%s\t%d\t%s\t%s", name, g.State, age(s.Time, g.Since), g.Priority, strings.Join(g.Members, " "), g.Reason)
	}
	return p.done()
}

func printTrackers(w io.Writer, s control.Status) error {
	if len(s.Trackers) == 0 {
		return nil
	}
	p := columns(w)
	p.line("")
	p.line("TRACKER\tTYPE\tSTATE\tFOR\tEFFECT\tREASON")
	for _, name := range slices.Sorted(maps.Keys(s.Trackers)) {
		k := s.Trackers[name]
		p.line("%s\t%s\t%s\t%s\t%s\t%s", name, k.Type, k.State, age(s.Time, k.Since), effect(k), k.Reason)
	}
	return p.done()
}

// effect says what a tracker does at this moment, and to whom.
func effect(k control.Tracker) string {
	words := make([]string, 0, len(k.Instances))
	for _, instance := range slices.Sorted(maps.Keys(k.Instances)) {
		if n := k.Instances[instance]; n != 0 {
			words = append(words, fmt.Sprintf("%s %+d", instance, n))
		} else {
			words = append(words, instance+" fault")
		}
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

// interfaceOf names the link with the virtual MAC address as well, if there is one.
func interfaceOf(v control.VRRPInstance) string {
	if v.VirtualInterface == "" {
		return v.Interface
	}
	return v.Interface + " (" + v.VirtualInterface + ")"
}

func reasonOf(v control.VRRPInstance) string {
	if len(v.Faults) > 0 {
		return strings.Join(v.Faults, ", ")
	}
	return v.Reason
}

// addresses lists an instance's addresses, the missing ones marked; long
// lists are cut.
func addresses(v control.VRRPInstance) string {
	const most = 3
	var words []string
	absent := 0
	for i, a := range v.Addresses {
		if v.State == "active" && !a.Present {
			absent++
		}
		if i < most {
			words = append(words, a.Address)
		}
	}
	text := strings.Join(words, " ")
	if more := len(v.Addresses) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if absent > 0 {
		text += fmt.Sprintf(" (%d MISSING)", absent)
	}
	return text
}

func printServices(w io.Writer, s control.Status) error {
	for _, name := range slices.Sorted(maps.Keys(s.VirtualServers)) {
		v := s.VirtualServers[name]
		p := columns(w)
		p.line("")
		p.line("VIRTUAL SERVER %s  %s %s %s %s  %s for %s  weight %d of quorum %d%s", name, v.Protocol, v.Address, v.Scheduler, v.Forward,
			v.State, age(s.Time, v.Since), v.Weight, v.Quorum, sorry(v))
		p.line("  REAL SERVER\tSTATE\tFOR\tWEIGHT\tSERVES\tCHECKS")
		for _, address := range slices.Sorted(maps.Keys(v.RealServers)) {
			r := v.RealServers[address]
			serves := "no"
			if r.InService {
				serves = "yes"
			}
			p.line("  %s\t%s\t%s\t%d\t%s\t%s", address, r.State, age(s.Time, r.Since), r.Weight, serves, checks(r))
		}
		if err := p.done(); err != nil {
			return err
		}
	}
	return nil
}

func sorry(v control.VirtualServer) string {
	switch {
	case v.SorryServer == "":
		return ""
	case v.SorryActive:
		return "  SORRY SERVER " + v.SorryServer + " serves"
	default:
		return "  sorry server " + v.SorryServer
	}
}

// checks says in one cell how each check of a server stands.
func checks(r control.RealServer) string {
	if len(r.Checks) == 0 {
		return r.Reason
	}
	words := make([]string, len(r.Checks))
	for i, c := range r.Checks {
		words[i] = c.Name + " " + c.State
		if c.Outcome == "pass" {
			words[i] += fmt.Sprintf(" (%.1f ms)", c.Took*1000)
			continue
		}
		why := c.Reason
		if c.Detail != "" {
			why = c.Detail
		}
		if c.Age < 0 {
			why = "no result yet"
		}
		if why != "" {
			words[i] += " (" + why + ")"
		}
	}
	return strings.Join(words, ", ")
}

func printPlugins(w io.Writer, s control.Status) error {
	if len(s.Plugins) == 0 {
		return nil
	}
	p := columns(w)
	p.line("")
	pluginRows(p, slices.SortedFunc(maps.Values(s.Plugins), func(a, b control.Plugin) int { return strings.Compare(a.Name+a.User, b.Name+b.User) }))
	return p.done()
}

func pluginRows(p *printer, plugins []control.Plugin) {
	p.line("PLUGIN\tVERSION\tSTATE\tPID\tUSER\tRESTARTS\tPROBES\tTYPES\tLAST ERROR")
	for _, g := range plugins {
		pid := "-"
		if g.PID != 0 {
			pid = strconv.Itoa(g.PID)
		}
		p.line("%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s", g.Name, dash(g.Version), g.State, pid, dash(g.User), g.Restarts, g.Probes,
			dash(strings.Join(g.Types, ", ")), dash(g.LastError))
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age is how long ago then was, in a form people read at a glance.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	d := max(now.Sub(then), 0)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}
