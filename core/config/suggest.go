package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/halo-ha/halo/sdk/schema"
)

// closest returns the candidate that word is most probably a slip of, or "".
// Letter case, and "-" for "_", count as no difference; of equally near ones
// the first in alphabetical order wins.
func closest(word string, candidates []string) string {
	folded := make([]string, 0, len(candidates))
	original := make(map[string]string, len(candidates))
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		f := fold(candidate)
		folded = append(folded, f)
		if _, ok := original[f]; !ok {
			original[f] = candidate
		}
	}
	return original[schema.Nearest(fold(word), folded)]
}

func fold(word string) string { return strings.ReplaceAll(strings.ToLower(word), "-", "_") }

// suggest returns the closest candidate in quotes, as a Problem's Suggestion,
// or "".
func suggest(word string, candidates []string) string {
	if found := closest(word, candidates); found != "" {
		return strconv.Quote(found)
	}
	return ""
}

// listed writes words as one would say them: `"a", "b" or "c"`.
func listed(words []string) string {
	var b strings.Builder
	for i, word := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(word))
	}
	return b.String()
}

// join appends a key to a path, quoted where TOML wants quotes.
func join(path, name string) string {
	if !isBareWord(name) {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// index appends the number of a list element to a path.
func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func isBareWord(name string) bool {
	for i := range len(name) {
		if !isBareKey(name[i]) {
			return false
		}
	}
	return name != ""
}
