package ledger

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Annotation is a test's claim to prove a requirement.
type Annotation struct {
	// ID is the number of the RFC and that of the requirement, "9568/6.4.2-3".
	ID string
	// Positive and Negative say which sides of it.
	Positive, Negative bool
	// Test is the package's directory, the test's name and, if only a part of
	// the test is meant, what that is called.
	Test string
	// At is the file and the line, for complaints.
	At string
}

// form is what an annotation looks like. The first group is the ID.
var form = regexp.MustCompile(`^//rfc:(\d+/\d+(?:\.\d+)*-\d+)((?: positive| negative)+)$`)

// Scan collects the annotations of all test files below the root of fsys, in the
// order of the files, and complains of what looks like one and is none.
func Scan(fsys fs.FS) (found []Annotation, problems []string, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || name != "." && entry.Name()[0] == '.'):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		source, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		annotations, complaints, err := scanFile(name, source)
		found, problems = append(found, annotations...), append(problems, complaints...)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("scan for annotations: %w", err)
	}
	return found, problems, nil
}

func scanFile(name string, source []byte) (found []Annotation, problems []string, err error) {
	if !strings.Contains(string(source), "rfc:") {
		return nil, nil, nil
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	lines := strings.Split(string(source), "\n")
	for _, group := range file.Comments {
		for _, comment := range group.List {
			text, isOne := strings.CutPrefix(strings.TrimLeft(comment.Text[2:], " "), "rfc:")
			if !isOne {
				continue
			}
			at := fmt.Sprintf("%s:%d", name, set.Position(comment.Pos()).Line)
			match := form.FindStringSubmatch(comment.Text)
			if match == nil {
				problems = append(problems, fmt.Sprintf("%s: rfc:%s is not of the form //rfc:NUMBER/SECTION-N positive negative", at, text))
				continue
			}
			test, why := testOf(file, group, lines[set.Position(group.End()).Line:])
			switch {
			case !strings.HasSuffix(name, "_test.go"):
				why = "is not in a test file"
			case strings.Count(match[2], "positive") > 1 || strings.Count(match[2], "negative") > 1:
				why = "says something twice"
			}
			if why != "" {
				problems = append(problems, fmt.Sprintf("%s: annotation %s %s", at, match[1], why))
				continue
			}
			found = append(found, Annotation{
				ID: match[1], Positive: strings.Contains(match[2], "positive"), Negative: strings.Contains(match[2], "negative"),
				Test: path.Dir(name) + "." + test, At: at,
			})
		}
	}
	return found, problems, nil
}

// testOf is the test that a comment belongs to, or why there is none. The rest of
// the file's lines begins behind the comment.
func testOf(file *ast.File, group *ast.CommentGroup, rest []string) (test, why string) {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") && !strings.HasPrefix(f.Name.Name, "Fuzz") {
			continue
		}
		if f.Doc == group {
			return f.Name.Name, ""
		}
		if f.Body != nil && f.Body.Pos() < group.Pos() && group.End() < f.Body.End() {
			row := rowOf(rest)
			if row == "" {
				return "", "does not stand above a row that has a name"
			}
			return f.Name.Name + " (" + row + ")", ""
		}
	}
	return "", "does not stand directly above a test"
}

var (
	quoted = regexp.MustCompile(`"((?:[^"\\]|\\.)+)"`)
	words  = regexp.MustCompile(`^\s*\{((?:[A-Za-z]\w*[.,] ?)*)$`)
)

// rowOf is what the next line calls itself: the first string in it, behind the
// words that stand before that in the row.
func rowOf(rest []string) string {
	if len(rest) == 0 {
		return ""
	}
	at := quoted.FindStringSubmatchIndex(rest[0])
	if at == nil {
		return ""
	}
	name := rest[0][at[2]:at[3]]
	before := words.FindStringSubmatch(rest[0][:at[0]])
	if len(before) < 2 || before[1] == "" {
		return name
	}
	var values []string
	for word := range strings.SplitSeq(strings.TrimRight(before[1], ", "), ", ") {
		values = append(values, strings.ToLower(word[strings.LastIndexByte(word, '.')+1:]))
	}
	return strings.Join(values, ", ") + ": " + name
}
