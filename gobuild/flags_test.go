package gobuild

import (
	"errors"
	"slices"
	"testing"
)

func TestSplitQuoted(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
		bad  bool
	}{
		{in: ""}, {in: "  "},
		{in: "-s  -w", want: []string{"-s", "-w"}},
		{in: `-X 'main.v=a b' "-y"`, want: []string{"-X", "main.v=a b", "-y"}},
		{in: `-X=main.v='a b'`, want: []string{"-X=main.v='a", "b'"}}, // quotes count around fields only
		{in: `'open`, bad: true},
	} {
		got, err := splitQuoted(c.in)
		if (err != nil) != c.bad || !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, %v", c.in, got, err)
		}
	}
}

func TestPerPackageFlags(t *testing.T) {
	f, err := parsePerPackage("gcflags", []string{"-a", "all=-b", "std=-c", "./x/...=-d", "example.com/y...=-e -f", "./z="}, "/app")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		p     Package
		named bool
		want  []string
	}{
		{Package{ImportPath: "example.com/app", Dir: "/app"}, true, []string{"-b"}},
		{Package{ImportPath: "fmt", Dir: "/go/src/fmt", Standard: true}, false, []string{"-c"}},
		{Package{ImportPath: "example.com/app/x", Dir: "/app/x"}, false, []string{"-d"}},
		{Package{ImportPath: "example.com/app/x/y", Dir: "/app/x/y"}, false, []string{"-d"}},
		{Package{ImportPath: "example.com/app/xx", Dir: "/app/xx"}, false, []string{"-b"}},
		{Package{ImportPath: "example.com/yes", Dir: "/m/yes"}, false, []string{"-e", "-f"}},
		{Package{ImportPath: "example.com/app/z", Dir: "/app/z"}, false, nil},
	} {
		if got := f.forPackage(&c.p, c.named); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.p.ImportPath, got, c.want)
		}
	}
	for _, bad := range []string{"x", "=-b", "'x'=-b", "all='-b"} {
		var usage *UsageError
		if _, err := parsePerPackage("gcflags", []string{bad}, "/app"); !errors.As(err, &usage) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestGOFLAGS(t *testing.T) {
	f := Flags{LDFlags: []string{"-w"}, Mod: "mod"}
	if err := f.mergeGOFLAGS(`-tags=a,b '-ldflags=-s -X=a=b' -mod=vendor -buildvcs=false --trimpath -v -count=1`); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Tags, []string{"a", "b"}) || !slices.Equal(f.LDFlags, []string{"-s -X=a=b", "-w"}) || f.Mod != "mod" || f.BuildVCS != "false" || f.Trimpath != "true" {
		t.Errorf("got %+v", f)
	}
	if err := f.mergeGOFLAGS(`'-x`); err == nil {
		t.Error("an open quote was accepted")
	}
}

func TestGOFLAGSThatChangeTheResult(t *testing.T) {
	for flag, want := range map[string]bool{
		"-cover": true, "-cover=T": true, "-cover=false": false, "-covermode=atomic": true, "-coverpkg=./...": true,
		"-toolexec=time": true, "-linkshared": true, "-compiler=gccgo": true, "-compiler=gc": false,
		"-v": false, "-a": false, "-p=4": false, "-modcacherw": false, "-installsuffix=x": false,
	} {
		f := Flags{}
		err := f.mergeGOFLAGS("-tags=a " + flag)
		var refused *Unsupported
		if got := errors.As(err, &refused); got != want || !want && err != nil {
			t.Errorf("%s: %v", flag, err)
		}
	}
	for flag, want := range map[string]Flags{
		"-race=T": {Race: true}, "--race=1": {Race: true}, "-race=0": {}, "-buildvcs": {BuildVCS: "true"}, "-buildvcs=0": {BuildVCS: "false"},
		"-buildvcs=auto": {BuildVCS: "auto"}, "-buildvcs=maybe": {BuildVCS: "maybe"}, "-trimpath=t": {Trimpath: "true"}, "-trimpath=0": {Trimpath: "false"},
	} {
		f := Flags{}
		if err := f.mergeGOFLAGS(flag); err != nil || f.Race != want.Race || f.BuildVCS != want.BuildVCS || f.Trimpath != want.Trimpath {
			t.Errorf("%s: got %+v, %v", flag, f, err)
		}
	}
}

func TestNoTags(t *testing.T) {
	for _, c := range []struct {
		given, want []string
		list        []string
	}{
		{nil, []string{"x"}, []string{"-tags=x"}},
		{[]string{}, []string{}, []string{"-tags="}},
		{[]string{"a", "b"}, []string{"a", "b"}, []string{"-tags=a,b"}},
	} {
		f := Flags{Tags: c.given}
		if err := f.mergeGOFLAGS("-tags=x"); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.Tags, c.want) || !slices.Equal(f.listFlags(), c.list) {
			t.Errorf("%#v: got %q for go list %q, want %q and %q", c.given, f.Tags, f.listFlags(), c.want, c.list)
		}
	}
}

func TestPlatforms(t *testing.T) {
	for in, want := range map[string]target{
		"linux/amd64":    {goos: "linux", goarch: "amd64"},
		"linux/amd64/v3": {"linux", "amd64", []string{"GOAMD64=v3"}},
		"linux/arm/v7":   {"linux", "arm", []string{"GOARM=7"}},
		"linux/arm64/v8": {"linux", "arm64", []string{"GOARM64=v8.0"}},
		"linux/arm64/v9": {"linux", "arm64", []string{"GOARM64=v9.0"}},
		"linux/386/sse2": {"linux", "386", []string{"GO386=sse2"}},
	} {
		got, err := parsePlatform(in)
		if err != nil || got.goos != want.goos || got.goarch != want.goarch || !slices.Equal(got.env, want.env) {
			t.Errorf("%s: got %+v, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "linux", "linux/", "a/b/c/d", "linux/s390x/v1", "linux/amd64/v9", "linux/arm/v9", "linux/386/x"} {
		if _, err := parsePlatform(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestLang(t *testing.T) {
	for in, want := range map[string]string{
		"": "go1.16", "1.21": "go1.21", "1.21.3": "go1.21", "1.22rc1": "go1.22", "go1.26.8": "go1.26", "1": "go1",
		"devel go1.27-abcdef Mon": "go1.27",
	} {
		if got := lang(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestEmbedded(t *testing.T) {
	files := []string{"a.txt", "t/.h/x", "t/_u", "t/d/e.txt", "t/d/.f"}
	for pattern, want := range map[string][]string{
		"a.txt": {"a.txt"}, "*.txt": {"a.txt"}, "t": {"t/d/e.txt"}, "all:t": {"t/.h/x", "t/_u", "t/d/.f", "t/d/e.txt"},
		"t/*": {"t/.h/x", "t/_u", "t/d/e.txt"}, "t/d/.f": {"t/d/.f"}, "?": {"t/d/e.txt"},
	} {
		if got, err := embedded(pattern, files); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", pattern, got, err, want)
		}
	}
	if _, err := embedded("[", files); err == nil {
		t.Error("a malformed pattern was accepted")
	}
}
