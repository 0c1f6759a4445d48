// What newer headers of the C and C++ libraries call in their inline functions, but a system with
// glibc 2.28 and the C++ library of GCC 8, the oldest that torch runs on, does not have. Defined
// here, so the libraries load there too, whatever they are compiled on.
#include <new>
#include <sstream>

#ifdef __GLIBCXX__

// Whether the process has but one thread, so that counts of references need not be atomic (glibc
// 2.32). Ours always are.
extern "C" __attribute__((visibility("hidden"))) char __libc_single_threaded;
char __libc_single_threaded = 0;

namespace std {

// Of std::vector (GCC 11).
void __throw_bad_array_new_length() {
  throw bad_array_new_length();
}

// Their default constructors (GCC 9) and str() && (GCC 11), which messages use.
template class basic_stringbuf<char>;
template class basic_ostringstream<char>;
template class basic_stringstream<char>;

} // namespace std

#endif
