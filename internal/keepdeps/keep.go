package keepdeps

import (
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/ulikunitz/xz"
	_ "github.com/vbauerster/mpb/v8"
	_ "golang.org/x/sync/errgroup"
	_ "github.com/google/go-cmp/cmp"
)
