package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

// What a health check may answer: argoproj/argo-cd, gitops-engine/pkg/health.
var healthStatuses = map[string]bool{
	"Healthy": true, "Suspended": true, "Degraded": true, "Progressing": true, "Missing": true,
	"Unknown": true,
}

// libraries are those that Argo CD opens for a script (util/lua/lua.go), but for its reduced `os`,
// which has clocks only: our scripts use no clock.
var libraries = map[string]lua.LGFunction{
	lua.LoadLibName: lua.OpenPackage,
	lua.BaseLibName: lua.OpenBase,
	lua.TabLibName:  lua.OpenTable,
}

// argoHealth runs the script of the object's kind as Argo CD does: by the same interpreter, with no
// other libraries, for a second at most.
func argoHealth(object *unstructured.Unstructured, scripts string) (Verdict, error) {
	group := object.GroupVersionKind().Group
	script, err := os.ReadFile(filepath.Join(scripts, group, object.GetKind(), "health.lua"))
	if err != nil {
		return Verdict{}, err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, name := range []string{lua.LoadLibName, lua.BaseLibName, lua.TabLibName} {
		call := lua.P{Fn: state.NewFunction(libraries[name]), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(name)); err != nil {
			return Verdict{}, err
		}
	}
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limited)
	content, err := json.Marshal(object.Object)
	if err != nil {
		return Verdict{}, err
	}
	value, err := luajson.Decode(state, content)
	if err != nil {
		return Verdict{}, err
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(string(script)); err != nil {
		return Verdict{}, err
	}
	answer, err := luajson.Encode(state.Get(-1))
	if err != nil {
		return Verdict{}, err
	}
	var health Verdict
	if err := json.Unmarshal(answer, &health); err != nil {
		return Verdict{}, err
	}
	if !healthStatuses[health.Status] {
		return Verdict{}, fmt.Errorf("Argo CD knows no status %q", health.Status)
	}
	return health, nil
}
