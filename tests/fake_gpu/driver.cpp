// libcuda.so.1, the driver, of which torch asks little when it has CUDA's runtime. What it asks for
// but is not here, runtime/device.cpp answers with "not supported".

extern "C" {

int cuInit(unsigned) {
  return 0;
}

int cuDriverGetVersion(int* version) {
  *version = 13000;
  return 0;
}

// Every device has been used already.
int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return 0;
}

int cuCtxGetCurrent(void** context) {
  static char only;
  *context = &only;
  return 0;
}

int cuCtxSetCurrent(void*) {
  return 0;
}

int cuDeviceGetAttribute(int* value, int, int) {
  *value = 0;
  return 0;
}

int cuGetErrorString(int, const char** text) {
  *text = "an error of the fake GPU's driver";
  return 0;
}

} // extern "C"
