package script

import (
	"bytes"
	"strconv"
	"strings"
)

// mostMetrics is how many the core takes from one result.
const mostMetrics = 16

// longestMetric is how long a metric's name may be, in bytes.
const longestMetric = 64

// parseNagios splits what a monitoring plugin prints: a line of text, then
// perfdata behind the first bar; more lines of text, then more perfdata, over
// any number of lines, behind the next bar.
func parseNagios(output []byte) (text string, metrics map[string]float64) {
	first, rest, _ := bytes.Cut(output, []byte("\n"))
	line, data, _ := bytes.Cut(first, []byte("|"))
	_, more, _ := bytes.Cut(rest, []byte("|"))
	return printable(line), parsePerfdata(string(data) + " " + string(more))
}

// parsePerfdata reads 'label'=value[unit];warn;crit;min;max, separated by
// space. Only the value is kept. What does not have this form is left out: a
// wrong metric is worse than none.
func parsePerfdata(data string) map[string]float64 {
	var metrics map[string]float64
	for len(metrics) < mostMetrics {
		data = strings.TrimLeft(data, " \t\r\n")
		if data == "" {
			break
		}
		label, rest, ok := cutLabel(data)
		if !ok {
			// Not perfdata: look again behind the next space.
			if space := strings.IndexAny(data, " \t\r\n"); space >= 0 {
				data = data[space:]
				continue
			}
			break
		}
		value := rest
		if end := strings.IndexAny(rest, " \t\r\n"); end >= 0 {
			value, data = rest[:end], rest[end:]
		} else {
			data = ""
		}
		value, _, _ = strings.Cut(value, ";")
		name, number, ok := metricOf(label, value)
		if !ok {
			continue
		}
		if metrics == nil {
			metrics = make(map[string]float64)
		}
		if _, taken := metrics[name]; !taken {
			metrics[name] = number
		}
	}
	return metrics
}

// cutLabel takes a label and its equals sign from the front of data. A label
// with a space in it stands in single quotes, and two of them mean one.
func cutLabel(data string) (label, rest string, ok bool) {
	if data[0] != '\'' {
		label, rest, ok = strings.Cut(data, "=")
		return label, rest, ok && label != "" && !strings.ContainsAny(label, " \t\r\n'")
	}
	var b strings.Builder
	for i := 1; i < len(data); i++ {
		switch {
		case data[i] != '\'':
			b.WriteByte(data[i])
		case i+1 < len(data) && data[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			rest, ok = strings.CutPrefix(data[i+1:], "=")
			return b.String(), rest, ok && b.Len() > 0
		}
	}
	return "", "", false
}

// metricOf names a value after its label and its unit. Times become seconds.
// Sizes keep their unit: plugins do not agree whether a KB has 1,000 bytes.
func metricOf(label, value string) (name string, number float64, ok bool) {
	digits := 0
	for digits < len(value) && strings.IndexByte("+-.0123456789", value[digits]) >= 0 {
		digits++
	}
	number, err := strconv.ParseFloat(value[:digits], 64)
	if err != nil {
		return "", 0, false // Also "U", a value the plugin could not find out.
	}
	suffix := ""
	switch unit := value[digits:]; unit {
	case "":
	case "s":
		suffix = "_seconds"
	case "ms":
		suffix, number = "_seconds", number/1e3
	case "us":
		suffix, number = "_seconds", number/1e6
	case "ns":
		suffix, number = "_seconds", number/1e9
	case "%":
		suffix = "_percent"
	case "c":
		suffix = "_total"
	case "B":
		suffix = "_bytes"
	default:
		suffix = "_" + metricWord(unit)
	}
	name = metricWord(label)
	if name == "" || name[0] < 'a' {
		name = strings.TrimSuffix("value_"+name, "_")
	}
	suffix = strings.TrimSuffix(suffix, "_")
	if len(suffix) > longestMetric/2 {
		return "", 0, false
	}
	return name[:min(len(name), longestMetric-len(suffix))] + suffix, number, true
}

// metricWord makes a word of [a-z0-9_] of any text.
func metricWord(text string) string {
	word := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, text)
	return strings.Trim(word, "_")
}
