# Let find_package(OpenVINO) find the package that `pip install openvino` put beside a Python: the one of the active
# virtual environment, else python3's. Does nothing where OpenVINO_DIR, CMAKE_PREFIX_PATH or the system has one.
find_package(OpenVINO QUIET COMPONENTS Runtime ONNX)
if(NOT OpenVINO_FOUND)
  unset(OpenVINO_DIR CACHE)
  foreach(python "$ENV{VIRTUAL_ENV}/bin/python" python3)
    execute_process(
      COMMAND "${python}" -c
        "import importlib.util as u; s = u.find_spec('openvino'); print(list(s.submodule_search_locations)[0] if s else '')"
      OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed AND found AND EXISTS "${found}/cmake/OpenVINOConfig.cmake")
      set(OpenVINO_DIR "${found}/cmake" CACHE PATH "Where OpenVINOConfig.cmake lies" FORCE)
      message(STATUS "OpenVINO of ${found}")
      break()
    endif()
  endforeach()
  if(NOT OpenVINO_DIR)
    message(STATUS "No OpenVINO found: pip install openvino in a virtual environment and activate it, give its folder "
                   "as -DCMAKE_PREFIX_PATH, or configure with -DRTSEG_OPENVINO=OFF")
  endif()
endif()
