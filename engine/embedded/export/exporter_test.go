//go:build linux

package export

import (
	"context"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/google/go-cmp/cmp"
)

func TestAttributes(t *testing.T) {
	for _, c := range []struct{ attrs, wantErr string }{
		{"dir=/x", ""},
		{"dir=/x uid=0 gid=0", ""},
		{"dir=/x uid=1000 gid=100 platform-split=false source-date-epoch=0", ""},
		{"", "dir is missing"},
		{"dir=x", `dir="x"`},
		{"dir=/x uid=1", "go together"},
		{"dir=/x uid=x gid=1", `uid="x"`},
		{"dir=/x uid=-1 gid=-1", "negative"},
		{"dir=/x colour=red", "unknown"},
		{"dir=/x platform-split=maybe", "platform-split"},
	} {
		attrs := map[string]string{}
		for _, a := range strings.Fields(c.attrs) {
			k, v, _ := strings.Cut(a, "=")
			attrs[k] = v
		}
		_, err := (&factory{}).Resolve(context.Background(), 0, attrs)
		if (err == nil) != (c.wantErr == "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
			t.Errorf("%q: error %v, want %q", c.attrs, err, c.wantErr)
		}
	}
}

func TestMountDirs(t *testing.T) {
	for _, c := range []struct {
		mounts []mount.Mount
		want   []string
	}{
		{[]mount.Mount{{Type: "bind", Source: "/a"}}, []string{"/a"}},
		{[]mount.Mount{{Type: "overlay", Options: []string{"index=off", "lowerdir=/c:/b:/a", "ro", "volatile"}}}, []string{"/a", "/b", "/c"}},
		{[]mount.Mount{{Type: "overlay", Options: []string{"workdir=/w", "upperdir=/u", "lowerdir=/b:/a"}}}, []string{"/a", "/b", "/u"}},
		{[]mount.Mount{{Type: "fuse"}}, nil},
		{[]mount.Mount{{Type: "bind", Source: "/a"}, {Type: "bind", Source: "/b"}}, nil},
		{nil, nil},
	} {
		if diff := cmp.Diff(c.want, mountDirs(c.mounts)); diff != "" {
			t.Errorf("%v: %s", c.mounts, diff)
		}
	}
}
