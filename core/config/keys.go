package config

// Keys lists every key that halo.toml takes, in the order in which they are
// read, without the settings of check types, which `halo plugin info` lists.
//
// The list is made by the very code that reads a file, so it cannot differ
// from it. Defaults that depend on the machine are those of one with a halo
// account whose binary has no plugins beside it.
func Keys() []Key {
	var keys []Key
	seen := map[string]bool{}
	r := &reader{
		source:  newSource("", ""),
		machine: machine{hasAccount: func(string) bool { return true }},
		origins: map[*Check]origin{},
		record: func(k Key) {
			if !seen[k.Path] {
				seen[k.Path] = true
				keys = append(keys, k)
			}
		},
	}
	r.generation(newTable(0))
	return keys
}
