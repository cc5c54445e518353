// LibYAML for Swift.
#ifndef WARMGATE_CLIBYAML_SHIM_H
#define WARMGATE_CLIBYAML_SHIM_H

#include <yaml.h>

#endif
