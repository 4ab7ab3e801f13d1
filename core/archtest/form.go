package archtest

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The sizes of files, in lines. A file beyond the first is listed; one beyond
// the second has more than one topic.
const (
	longLines    = 450
	tooLongLines = 800
)

// Sizes reports files that are too long, and lists, as long, those that will
// be next. Generated files are nobody's to split.
func (t *Tree) Sizes() (findings, long []string) {
	for _, file := range t.files {
		switch {
		case file.Generated:
		case file.Lines > tooLongLines:
			findings = append(findings, fmt.Sprintf("%s:1: %d lines, at most %d: split it by topic", file.Path, file.Lines, tooLongLines))
		case file.Lines > longLines:
			long = append(long, fmt.Sprintf("%s: %d lines", file.Path, file.Lines))
		}
	}
	return findings, long
}

// PackageComments reports packages without a comment, with two, or with one
// that does not begin as Go's tools expect.
func (t *Tree) PackageComments() []string {
	var findings []string
	for _, directory := range t.directories() {
		var code, comments []File
		for _, file := range t.files {
			if file.Dir != directory || file.Test || file.Generated {
				continue
			}
			code = append(code, file)
			if file.Syntax.Doc.Text() != "" {
				comments = append(comments, file)
			}
		}
		switch {
		case len(code) == 0: // tests only, or generated
		case len(comments) == 0:
			findings = append(findings, code[0].Path+":1: the package has no comment")
		case len(comments) > 1:
			findings = append(findings, t.at(comments[1].Syntax, "the package has a second comment, the first is in %s", comments[0].Path))
		default:
			if finding := t.beginning(comments[0]); finding != "" {
				findings = append(findings, finding)
			}
		}
	}
	return findings
}

// beginning judges the first words of a package comment. A plugin's binary is
// called halo-<kind>-<name>, whatever its directory is.
func (t *Tree) beginning(file File) string {
	text := file.Syntax.Doc.Text()
	want := "Package " + file.Syntax.Name.Name + " "
	if file.Syntax.Name.Name == "main" {
		want = "Command " + path.Base(file.Dir) + " "
		if regexp.MustCompile(`^Command halo-(check|notify|track)-[a-z]+ `).MatchString(text) {
			return ""
		}
	}
	if !strings.HasPrefix(text, want) {
		first, _, _ := strings.Cut(text, "\n")
		return t.at(file.Syntax.Doc, "the package comment begins %q, want %q", first, want+"...")
	}
	return ""
}

// PackageNames reports names that say nothing about what is inside.
func (t *Tree) PackageNames() []string {
	empty := []string{"base", "common", "helper", "helpers", "manager", "misc", "shared", "types", "util", "utils"}
	var findings []string
	for _, directory := range t.directories() {
		// The misc check is the field's word for it.
		if slices.Contains(empty, path.Base(directory)) && directory != "plugins/misc" {
			findings = append(findings, directory+": the package's name says nothing about what is inside")
		}
	}
	return findings
}

// Leftovers reports comments that promise work instead of describing it.
func (t *Tree) Leftovers() []string {
	promise := regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	var findings []string
	for _, file := range t.files {
		if file.Generated || file.Dir == "core/archtest" {
			continue
		}
		for _, group := range file.Syntax.Comments {
			for _, comment := range group.List {
				if word := promise.FindString(comment.Text); word != "" {
					findings = append(findings, t.at(comment, "%s: do it, or say what is so and why", word))
				}
			}
		}
	}
	return findings
}

// pluginSections are the sections of a plugin's README, in order.
func pluginSections() []string {
	return []string{"Name", "Description", "Settings", "Results", "Examples"}
}

// PluginPages reports plugins whose README is missing, lacks a section, or has
// them in another order than all the others.
func (t *Tree) PluginPages() []string {
	var findings []string
	for _, directory := range t.directories() {
		if path.Dir(directory) != "plugins" {
			continue
		}
		name := path.Join(directory, "README.md")
		content, err := fs.ReadFile(t.fsys, name)
		if err != nil {
			findings = append(findings, directory+": the plugin has no README.md")
			continue
		}
		var sections []string
		for line := range strings.Lines(string(content)) {
			if title, found := strings.CutPrefix(line, "## "); found {
				sections = append(sections, strings.TrimSpace(title))
			}
		}
		place := 0
		for _, want := range pluginSections() {
			i := slices.Index(sections[place:], want)
			if i < 0 {
				findings = append(findings, fmt.Sprintf("%s: section %q is missing or not in the order %s",
					name, want, strings.Join(pluginSections(), ", ")))
				break
			}
			place += i + 1
		}
	}
	return findings
}
