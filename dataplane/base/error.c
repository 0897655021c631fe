#include "dataplane/base/error.h"

const char *hw_error_name(int code)
{
	switch (code) {
	case 0:
		return "OK";
#define X(name, value, sentence)                                                                                       \
	case (value):                                                                                                  \
		return #name;
		HW_ERRORS(X)
#undef X
	default:
		return "UNKNOWN";
	}
}

const char *hw_error_sentence(int code)
{
	switch (code) {
	case 0:
		return "success";
#define X(name, value, sentence)                                                                                       \
	case (value):                                                                                                  \
		return sentence;
		HW_ERRORS(X)
#undef X
	default:
		return "unknown error code";
	}
}
