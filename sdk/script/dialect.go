package script

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/check"
)

// Dialect is what the exit codes of a program mean. Its values are the words a
// person writes as `dialect`: which one is meant is never guessed.
type Dialect string

// The dialects.
const (
	// Keepalived is that of MISC_CHECK and of vrrp_script: 0 is good, everything
	// else is bad.
	Keepalived Dialect = "keepalived"
	// KeepalivedDynamic is MISC_CHECK with misc_dynamic: 0 is good at the
	// configured weight, 1 is bad, 2 to 255 are good at the weight code - 2.
	KeepalivedDynamic Dialect = "keepalived-dynamic"
	// Nagios is a monitoring plugin: 0 OK and 1 WARNING are good, 2 CRITICAL is
	// bad, 3 UNKNOWN is not known, and no other code exists.
	Nagios Dialect = "nagios"
)

// The exit codes of monitoring plugins.
const (
	nagiosOK       = 0
	nagiosWarning  = 1
	nagiosCritical = 2
	nagiosUnknown  = 3
)

// firstWeight is the exit code that means weight 0 in keepalived-dynamic.
const firstWeight = 2

// Verdict turns how a program ended into the probe's result.
func (d Dialect) Verdict(ended Ended) check.Result {
	switch d {
	case Keepalived:
		return keepalivedVerdict(ended)
	case KeepalivedDynamic:
		if ended.Signal == 0 && ended.Code >= firstWeight {
			weight := ended.Code - firstWeight
			result := check.Passed(firstLine(ended.Output))
			result.Weight = &weight
			return result
		}
		return keepalivedVerdict(ended)
	case Nagios:
		return nagiosVerdict(ended)
	}
	return check.NotKnown(check.ReasonLocalError, fmt.Sprintf("dialect %q is not known", string(d)))
}

func keepalivedVerdict(ended Ended) check.Result {
	switch {
	case ended.Signal != 0:
		return check.Failed(check.ReasonSignal, withLine("ended by "+unix.SignalName(ended.Signal), ended.Output))
	case ended.Code != 0:
		return check.Failed(check.ReasonExit, withLine(fmt.Sprintf("exit code %d", ended.Code), ended.Output))
	}
	return check.Passed(firstLine(ended.Output))
}

// nagiosVerdict knows nothing of a program that ended by a signal or with a
// code that no monitoring plugin has: it gave no verdict.
func nagiosVerdict(ended Ended) check.Result {
	text, metrics := parseNagios(ended.Output)
	var result check.Result
	switch {
	case ended.Signal != 0:
		return check.NotKnown(check.ReasonSignal, join("ended by "+unix.SignalName(ended.Signal), text))
	case ended.Code == nagiosOK, ended.Code == nagiosWarning:
		result = check.Passed(text)
	case ended.Code == nagiosCritical:
		result = check.Failed(check.ReasonExit, text)
	case ended.Code == nagiosUnknown:
		result = check.NotKnown(check.ReasonExit, text)
	default:
		result = check.NotKnown(check.ReasonExit, join(fmt.Sprintf("exit code %d is none of a monitoring plugin", ended.Code), text))
	}
	if result.Detail == "" && ended.Code != nagiosOK {
		result.Detail = fmt.Sprintf("exit code %d", ended.Code)
	}
	result.Metrics = metrics
	return result
}

// withLine is a fact and what the program said about it.
func withLine(fact string, output []byte) string { return join(fact, firstLine(output)) }

func join(fact, text string) string {
	if text == "" {
		return fact
	}
	return fact + ": " + text
}

// firstLine is the first line of the output that is not empty, fit for a log.
func firstLine(output []byte) string {
	for line := range bytes.Lines(output) {
		if text := printable(line); text != "" {
			return text
		}
	}
	return ""
}

// printable drops what would move a terminal's cursor or break a line.
func printable(text []byte) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == unicode.ReplacementChar, unicode.IsPrint(r):
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(text), "\ufffd"))
	return strings.TrimSpace(clean)
}
