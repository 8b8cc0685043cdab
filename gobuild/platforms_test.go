package gobuild

import (
	"os"
	"slices"
	"testing"
)

// TestPlatformNames: each platform is planned once, whatever it was called, and every value of an
// architecture's variable makes the name of one.
func TestPlatformNames(t *testing.T) {
	dir := project(t, "testdata/build/hello.txtar")
	tc := fakeToolchain(t)
	for _, c := range []struct {
		env             []string
		platforms, want []string
	}{
		{nil, []string{"linux/arm", "linux/arm/v7", "linux/arm/v6", "linux/arm"}, []string{"linux/arm", "linux/arm/6"}},
		{[]string{"GOARCH=arm", "GOARM=7,softfloat"}, nil, []string{"linux/arm/7-softfloat"}},
		{[]string{"GOARCH=arm64", "GOARM64=v9.0,lse,crypto"}, nil, []string{"linux/arm64/v9.0-lse-crypto"}},
	} {
		env := append(os.Environ(), "CGO_ENABLED=", "GOFLAGS=", "GOENV=off", "GOOS=linux")
		plan, err := Make(t.Context(), Config{Dir: dir, Env: append(env, c.env...), Platforms: c.platforms, Toolchain: tc, Output: true})
		if err != nil {
			t.Errorf("%q %q: %v", c.env, c.platforms, err)
			continue
		}
		var got []string
		for _, r := range plan.Graph.Roots() {
			got = append(got, r.Platform)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q %q: got %q, want %q", c.env, c.platforms, got, c.want)
		}
	}
}
